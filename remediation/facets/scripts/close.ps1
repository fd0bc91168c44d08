# Asks a process tree to close as its user would, waits, and kills it with force.
# Data: pid, started (Unix time), grace (seconds), force. WM_CLOSE reaches only windows of the caller's own session, so a one-shot
# scheduled task of the desktop user posts it and returns the number of windows that it asked.
param($Data)

$root = [int] $Data.pid
$started = [double] $Data.started
$grace = [double] $Data.grace

# The process with this PID and start time, because PIDs are reused. Returns nothing if it has ended; throws if Windows does not
# answer.
function Get-Meant {
    foreach ($found in @(Get-CimInstance -ClassName Win32_Process -Filter "ProcessId=$root" -ErrorAction Stop)) {
        if ($null -eq $found) { continue }
        $at = ConvertTo-Epoch $found.CreationDate
        if ($null -eq $at) { throw "Windows does not say when process $root started" }
        if ([Math]::Abs($at - $started) -le 0.05) { return $found }
    }
}

# Whether the process has ended. If Windows does not answer, the result is false and $Problems.Process has the reason.
function Test-Gone {
    try { $gone = $null -eq (Get-Meant) }
    catch {
        $Problems['Process'] = Get-Reason $_
        return $false
    }
    $Problems.Remove('Process')
    $gone
}

# Times are compared in UTC: in the repeated hour of a DST change, a child may seem older than its parent.
function Get-Tree($Top) {
    $all = New-Object Collections.ArrayList
    foreach ($one in @(Get-CimInstance -ClassName Win32_Process -Property @('ProcessId', 'ParentProcessId', 'CreationDate') -ErrorAction Stop)) {
        if ($null -eq $one -or $null -eq $one.CreationDate) { continue }
        $null = $all.Add(@{ id = [int64] $one.ProcessId; parent = [int64] $one.ParentProcessId; at = ConvertTo-Epoch $one.CreationDate })
    }
    $found = New-Object Collections.ArrayList
    $null = $found.Add(@{ id = [int64] $root; parent = $null; at = ConvertTo-Epoch $Top.CreationDate })
    $seen = @{}
    $seen[[int64] $root] = $true
    for ($at = 0; $at -lt $found.Count; $at++) {
        foreach ($one in $all) {
            if ($one.parent -ne $found[$at].id -or $seen.ContainsKey($one.id) -or $one.at -lt $found[$at].at) { continue }
            $seen[$one.id] = $true
            $null = $found.Add($one)
        }
    }
    $found | ForEach-Object { $_.id }
}

# Each window is asked once, so that a program does not show its save dialog repeatedly. A process may end at any time.
$ask = {
    $seen = @{}
    for ($round = 0; $round -lt 10; $round++) {
        $new = 0
        foreach ($number in $numbers) {
            try {
                $process = Get-Process -Id $number -ErrorAction SilentlyContinue
                if ($null -eq $process) { continue }
                $window = [string] $process.MainWindowHandle
                if (-not $window -or $window -eq '0' -or $seen.ContainsKey($window)) { continue }
                $seen[$window] = $true
                if ($process.CloseMainWindow()) { $new++ }
            }
            catch { continue }
        }
        if ($new -eq 0) { break }
        Start-Sleep -Milliseconds 300
    }
    $seen.Count
}

# Kills the tree. On failure, $Problems.ended has the reason.
function Stop-Tree {
    try {
        $info = New-Object Diagnostics.ProcessStartInfo
        $info.FileName = Join-Path $env:SystemRoot 'System32\taskkill.exe'
        $info.Arguments = '/F /T /PID ' + $root
        $info.UseShellExecute = $false
        $info.CreateNoWindow = $true
        $info.RedirectStandardOutput = $true
        $info.RedirectStandardError = $true
        $killer = [Diagnostics.Process]::Start($info)
        $killer.BeginOutputReadLine()
        $killer.BeginErrorReadLine()
        if (-not $killer.WaitForExit(10000)) {
            $killer.Kill()
            throw 'taskkill did not end within 10 s'
        }
        if ($killer.ExitCode -ne 0) { throw ('taskkill ended with ' + $killer.ExitCode) }
    }
    catch { $Problems['ended'] = Get-Reason $_ }
}

$asked = 0
$done = $null
$how = 'still-there'
try {
    $top = Get-Meant
    if ($null -eq $top) { $how = 'gone' }
    else {
        $numbers = @(Get-Tree $top)
        # this process itself, or one of its parents
        if ($numbers -contains $PID) { $how = 'own' }
    }
}
catch { $Problems['Process'] = Get-Reason $_ }

# a process that Windows does not show is left alone
if ($how -eq 'still-there' -and -not $Problems.ContainsKey('Process')) {
    if ($top.SessionId -ne 0) {
        if ($top.SessionId -eq [Diagnostics.Process]::GetCurrentProcess().SessionId) { $asked = [int] (& $ask) }
        else {
            # the length of a command line is limited
            $list = @($numbers | Select-Object -First 1500) -join ','
            # a task that is still running after 15 s may have asked the windows, so the grace period applies too
            $done = Invoke-UserTask ('$numbers = @(' + $list + '); ' + $ask.ToString()) (15 + $grace) { Test-Gone }
            if ($done.task -eq 'ended') { $asked = [int] $done.answer }
        }
    }
    # with force, always wait for the grace period: the task may have asked, and programs may be saving
    if ($done.task -ne 'running' -and ($asked -gt 0 -or $Data.force -or $done.task -eq 'failed')) {
        $watch = [Diagnostics.Stopwatch]::StartNew()
        while ($watch.Elapsed.TotalSeconds -lt $grace -and -not (Test-Gone)) { Start-Sleep -Milliseconds 250 }
    }
    if (Test-Gone) { $how = 'polite' }
    elseif ($Data.force -and -not $Problems.ContainsKey('Process')) {
        Stop-Tree
        for ($wait = 0; $wait -lt 20 -and -not (Test-Gone); $wait++) { Start-Sleep -Milliseconds 250 }
        if (Test-Gone) { $how = 'forced' }
    }
}

$result = $done.code
if ($done.task -eq 'ended') { $result = 0 }
ConvertTo-Json -Depth 20 -Compress -InputObject @{
    ended = @('gone', 'polite', 'forced') -contains $how
    how = $how
    asked = $asked
    task = $done.task
    task_code = $done.code
    task_result = $result
    Problems = $Problems
}
