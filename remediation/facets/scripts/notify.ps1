# Show a message to whoever sits at the desktop for some seconds, without waiting for it to be read. Data: message, seconds.
param($Data)

# 4096: above all windows; 64: an information sign. The words come as base64, so that none of them is read as PowerShell.
$show = {
    $words = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($message))
    $null = (New-Object -ComObject WScript.Shell).Popup($words, $seconds, 'remediation', 4096 + 64)
}

$shown = $false
$task = $null
$user = Get-DesktopUser
if (-not $user) { $task = 2147946720 } # 0x800710E0: the user is not logged on
else {
    $message = [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes([string] $Data.message))
    $text = '$message = ''' + $message + '''; $seconds = ' + [int] $Data.seconds + '; & {' + $show.ToString() + '}'
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($text))
    $name = 'remediation-' + [guid]::NewGuid().ToString('N')
    $action = New-ScheduledTaskAction -Execute 'powershell.exe' -Argument ('-NoProfile -NonInteractive -WindowStyle Hidden -EncodedCommand ' + $encoded)
    $principal = New-ScheduledTaskPrincipal -UserId $user -LogonType Interactive -RunLevel Limited
    $settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -Priority 4 -ExecutionTimeLimit (New-TimeSpan -Minutes 10)
    try {
        $null = Register-ScheduledTask -TaskName $name -Action $action -Principal $principal -Settings $settings
        Start-ScheduledTask -TaskName $name
        for ($wait = 0; $wait -lt 40; $wait++) {
            Start-Sleep -Milliseconds 250
            $task = [int64] (Get-ScheduledTaskInfo -TaskName $name).LastTaskResult -band 4294967295
            # while the message stands there the task runs: then it is shown
            if ($task -eq 267009 -or $task -eq 0) { $shown = $true; break }
            if (@(267011, 267045) -notcontains $task) { break }
        }
    }
    catch { $task = [int64] $_.Exception.GetBaseException().HResult -band 4294967295 }
    # the message outlives its task's entry
    finally { Unregister-ScheduledTask -TaskName $name -Confirm:$false -ErrorAction SilentlyContinue }
}
ConvertTo-Json -Depth 20 -Compress -InputObject @{ shown = $shown }
