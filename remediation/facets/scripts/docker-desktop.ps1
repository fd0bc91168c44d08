# Start or stop Docker Desktop as the desktop's user, or end its processes. Data: action (start, stop or kill), seconds for the stop.
# What is started runs on by itself: the task's action starts it and ends, and nothing here waits for it.
param($Data)

# Runs in the user's session: all-users installation first, else the user's own
$start = {
    $places = @((Join-Path $env:ProgramFiles 'Docker\Docker\Docker Desktop.exe'), (Join-Path $env:LOCALAPPDATA 'Programs\DockerDesktop\Docker Desktop.exe'))
    foreach ($place in $places) { if (Test-Path -LiteralPath $place) { $null = Start-Process -FilePath $place; exit 0 } }
    exit 2
}
$stop = {
    $null = Start-Process -FilePath 'docker.exe' -ArgumentList ('desktop stop --timeout ' + $seconds) -WindowStyle Hidden
    exit 0
}

function Invoke-AsUser([string] $User, [string] $Text) {
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($Text))
    $name = 'remediation-' + [guid]::NewGuid().ToString('N')
    $action = New-ScheduledTaskAction -Execute 'powershell.exe' -Argument ('-NoProfile -NonInteractive -WindowStyle Hidden -EncodedCommand ' + $encoded)
    $principal = New-ScheduledTaskPrincipal -UserId $User -LogonType Interactive -RunLevel Limited
    # the usual priority of a task is inherited by what it starts, and Docker Desktop would stay slow
    $settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -Priority 4 -ExecutionTimeLimit (New-TimeSpan -Minutes 10)
    try {
        $null = Register-ScheduledTask -TaskName $name -Action $action -Principal $principal -Settings $settings
        Start-ScheduledTask -TaskName $name
        for ($wait = 0; $wait -lt 80; $wait++) {
            Start-Sleep -Milliseconds 250
            $result = (Get-ScheduledTaskInfo -TaskName $name).LastTaskResult
            if (@(267009, 267011, 267045) -notcontains $result) { break }
        }
        [int64] $result -band 4294967295
    }
    finally { Unregister-ScheduledTask -TaskName $name -Confirm:$false -ErrorAction SilentlyContinue }
}

$done = $false
$problem = $null
$task = $null
try {
    if ($Data.action -eq 'kill') {
        foreach ($process in @(Get-CimInstance -ClassName Win32_Process)) {
            if ([string] $process.Name -notmatch '^(Docker Desktop|com\.docker\..*|docker-agent|vpnkit.*)\.exe$') { continue }
            if ($process.Name -eq 'com.docker.service.exe') { continue }
            try { Stop-Process -Id ([int] $process.ProcessId) -Force } catch { $problem = [string] $_.Exception.Message }
        }
        $done = $null -eq $problem
    }
    else {
        $user = Get-DesktopUser
        if (-not $user) { $task = 2147946720; $problem = 'nobody is logged on at the desktop' } # 0x800710E0
        else {
            $text = if ($Data.action -eq 'start') { '& {' + $start.ToString() + '}' } else { '$seconds = ' + [int] $Data.seconds + '; & {' + $stop.ToString() + '}' }
            $task = Invoke-AsUser $user $text
            $done = $task -eq 0
            if (-not $done) { $problem = 'the task of the desktop user ended with ' + $task }
        }
    }
}
catch { $problem = [string] $_.Exception.GetBaseException().Message }
ConvertTo-Json -Depth 20 -Compress -InputObject @{ done = $done; problem = $problem; task_result = $task }
