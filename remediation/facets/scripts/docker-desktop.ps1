# Starts or stops Docker Desktop as the desktop user, or kills its processes. Data: action (start, stop or kill); seconds: for a
# start, the time limit of the task (at least 20); for a stop, the time limit of Docker Desktop's own command.
# The started program keeps running: the task only starts it and ends.
param($Data)

# Both scripts run in the user's session. The installation for all users comes first, then the user's own.
$start = {
    $places = @(@($env:ProgramFiles, 'Docker\Docker\Docker Desktop.exe'), @($env:LOCALAPPDATA, 'Programs\DockerDesktop\Docker Desktop.exe'))
    foreach ($place in $places) {
        if (-not $place[0]) { continue }
        $path = Join-Path $place[0] $place[1]
        if (Test-Path -LiteralPath $path) {
            $null = Start-Process -FilePath $path
            return 0
        }
    }
    2
}
$stop = {
    $program = $null
    $places = @(@($env:LOCALAPPDATA, 'Programs\DockerDesktop\resources\bin\docker.exe'), @($env:ProgramFiles, 'Docker\Docker\resources\bin\docker.exe'))
    foreach ($place in $places) {
        if (-not $place[0]) { continue }
        $path = Join-Path $place[0] $place[1]
        if (Test-Path -LiteralPath $path) { $program = $path }
    }
    # use only the search path: for a bare name, the current folder would come first
    if (-not $program) { $program = @(Get-Command -Name 'docker.exe' -CommandType Application -ErrorAction SilentlyContinue)[0].Path }
    if (-not $program) { return 2 }
    $null = Start-Process -FilePath $program -ArgumentList ('desktop stop --timeout ' + $seconds) -WindowStyle Hidden
    0
}

# Kills the processes. Returns why some could not be killed; one that has ended meanwhile is not a failure.
function Stop-Programs {
    $left = New-Object Collections.ArrayList
    foreach ($process in @(Get-CimInstance -ClassName Win32_Process -ErrorAction Stop)) {
        if ([string] $process.Name -notmatch '^(Docker Desktop|com\.docker\..*|docker-agent|vpnkit.*)\.exe$') { continue }
        if ($process.Name -eq 'com.docker.service.exe') { continue }
        $number = [int] $process.ProcessId
        try { Stop-Process -Id $number -Force -ErrorAction Stop }
        catch {
            if ($_.CategoryInfo.Category -eq 'ObjectNotFound') { continue }
            $why = Get-Reason $_
            # it may have ended meanwhile; if Windows does not answer, assume that it has not
            try { $null = Get-Process -Id $number -ErrorAction Stop }
            catch { if ($_.CategoryInfo.Category -eq 'ObjectNotFound') { continue } }
            $null = $left.Add([string] $process.Name + ' (' + $number + '): ' + $why)
        }
    }
    if ($left.Count -gt 0) { $left.ToArray() -join '; ' }
}

$done = $false
$problem = $null
$task = $null
try {
    if ($Data.action -ceq 'kill') {
        $problem = Stop-Programs
        $done = $null -eq $problem
    }
    elseif (@('start', 'stop') -ccontains $Data.action) {
        if ($Data.action -ceq 'start') { $task = Invoke-UserTask $start.ToString() ([Math]::Max(20, [double] $Data.seconds)) }
        else { $task = Invoke-UserTask ('$seconds = ' + [int] $Data.seconds + '; ' + $stop.ToString()) 20 }
        $done = $task.task -eq 'ended' -and $task.answer -eq 0
        if ($done) { $problem = $null }
        elseif ($task.task -eq 'ended') { $problem = 'Docker Desktop is neither in Program Files nor among the programs of the desktop user' }
        elseif ($task.task -eq 'running') { $problem = 'the task of the desktop user is still under way' }
        elseif ($task.task -eq 'no-user') { $problem = 'nobody is logged on at the desktop' }
        elseif ($task.task -eq 'refused') { $problem = 'the task of the desktop user could not be started: ' + $Problems['task'] }
        else { $problem = 'the task of the desktop user ended with 0x{0:X8}' -f $task.code }
    }
    else { $problem = 'there is no action ' + $Data.action }
}
catch { $problem = Get-Reason $_ }

$result = $task.code
if ($task.task -eq 'ended') { $result = $task.answer }
ConvertTo-Json -Depth 20 -Compress -InputObject @{
    done = $done
    problem = $problem
    task = $task.task
    task_code = $task.code
    task_result = $result
    Problems = $Problems
}
