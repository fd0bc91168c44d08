# Ask the tree of one process to close as the desktop's user would, wait, and with force end it.
# Data: pid, started (seconds since the epoch), grace (seconds), force. WM_CLOSE reaches only windows of the caller's own session, so
# a one-shot scheduled task of the desktop's user posts it; its exit code is the number of windows that were asked.
param($Data)

$root = [int] $Data.pid
$started = [double] $Data.started

# PIDs are reused: only with its start time is it the process that was meant
function Get-Meant {
    $found = Get-CimInstance -ClassName Win32_Process -Filter "ProcessId=$root"
    if ($null -eq $found) { return $null }
    if ([Math]::Abs((ConvertTo-Epoch $found.CreationDate) - $started) -gt 0.05) { return $null }
    $found
}

function Get-Tree($Top) {
    $all = @(Get-CimInstance -ClassName Win32_Process -Property @('ProcessId', 'ParentProcessId', 'CreationDate'))
    $found = New-Object Collections.ArrayList
    $null = $found.Add($Top)
    for ($at = 0; $at -lt $found.Count; $at++) {
        foreach ($one in $all) {
            if ($one.ParentProcessId -eq $found[$at].ProcessId -and $one.CreationDate -ge $found[$at].CreationDate -and $one.ProcessId -ne $found[$at].ProcessId) {
                $null = $found.Add($one)
            }
        }
    }
    @($found | ForEach-Object { [int] $_.ProcessId })
}

# Each window once: a program that asks whether to save must not be asked again and again
$ask = {
    $seen = @{}
    for ($round = 0; $round -lt 10; $round++) {
        $new = 0
        foreach ($number in $numbers) {
            $process = Get-Process -Id $number -ErrorAction SilentlyContinue
            if ($null -eq $process) { continue }
            $window = [string] $process.MainWindowHandle
            if ($window -eq '0' -or $seen.ContainsKey($window)) { continue }
            $seen[$window] = $true
            if ($process.CloseMainWindow()) { $new++ }
        }
        if ($new -eq 0) { break }
        Start-Sleep -Milliseconds 300
    }
    $seen.Count
}

# The task's result as an unsigned number: how many windows, or what the scheduler said
function Invoke-AsUser([string] $User, $Numbers) {
    $text = '$numbers = @(' + (@($Numbers | ForEach-Object { [string] [int] $_ }) -join ',') + '); $count = & {' + $ask.ToString() + '}; exit $count'
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($text))
    $name = 'remediation-' + [guid]::NewGuid().ToString('N')
    $action = New-ScheduledTaskAction -Execute 'powershell.exe' -Argument ('-NoProfile -NonInteractive -WindowStyle Hidden -EncodedCommand ' + $encoded)
    $principal = New-ScheduledTaskPrincipal -UserId $User -LogonType Interactive -RunLevel Limited
    $settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -Priority 4 -ExecutionTimeLimit (New-TimeSpan -Minutes 2)
    try {
        $null = Register-ScheduledTask -TaskName $name -Action $action -Principal $principal -Settings $settings
        Start-ScheduledTask -TaskName $name
        for ($wait = 0; $wait -lt 60; $wait++) {
            Start-Sleep -Milliseconds 250
            $result = (Get-ScheduledTaskInfo -TaskName $name).LastTaskResult
            # 267009 runs, 267011 has not run yet, 267045 is queued
            if (@(267009, 267011, 267045) -notcontains $result) { break }
        }
        [int64] $result -band 4294967295
    }
    finally { Unregister-ScheduledTask -TaskName $name -Confirm:$false -ErrorAction SilentlyContinue }
}

$asked = 0
$task = $null
$how = 'still-there'
$top = Get-Meant
if ($null -eq $top) { $how = 'gone' }
else { $numbers = @(Get-Tree $top) }
if ($null -ne $top -and $numbers -contains $PID) { $how = 'own' } # this very process, or one that it came from
elseif ($null -ne $top) {
    if ($top.SessionId -ne 0) {
        if ($top.SessionId -eq [Diagnostics.Process]::GetCurrentProcess().SessionId) { $asked = [int] (& $ask) }
        else {
            $user = Get-DesktopUser
            if (-not $user) { $task = 2147946720 } # 0x800710E0: the user is not logged on
            else {
                try { $task = Invoke-AsUser $user $numbers }
                catch { $task = [int64] $_.Exception.GetBaseException().HResult -band 4294967295 }
                # a small number is what the task counted, the scheduler's own codes are large
                if ($task -lt 10000) { $asked = [int] $task; $task = 0 }
            }
        }
    }
    if ($asked -gt 0) {
        $watch = [Diagnostics.Stopwatch]::StartNew()
        while ($watch.Elapsed.TotalSeconds -lt [double] $Data.grace -and $null -ne (Get-Meant)) { Start-Sleep -Milliseconds 250 }
    }
    if ($null -eq (Get-Meant)) { $how = 'polite' }
    elseif ($Data.force) {
        $info = New-Object Diagnostics.ProcessStartInfo
        $info.FileName = Join-Path $env:SystemRoot 'System32\taskkill.exe'
        $info.Arguments = '/F /T /PID ' + $root
        $info.UseShellExecute = $false
        $info.CreateNoWindow = $true
        $killer = [Diagnostics.Process]::Start($info)
        $null = $killer.WaitForExit(10000)
        for ($wait = 0; $wait -lt 20 -and $null -ne (Get-Meant); $wait++) { Start-Sleep -Milliseconds 250 }
        if ($null -eq (Get-Meant)) { $how = 'forced' }
    }
}

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    ended = @('gone', 'polite', 'forced') -contains $how
    how = $how
    asked = $asked
    task_result = $task
}
