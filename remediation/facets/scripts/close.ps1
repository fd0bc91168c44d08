# Ask the tree of one process to close as the desktop's user would, wait, and with force end it.
# Data: pid, started (seconds since the epoch), grace (seconds), force. WM_CLOSE reaches only windows of the caller's own session, so
# a one-shot task of the desktop's user posts it and answers with the number of windows that it asked.
param($Data)

$root = [int] $Data.pid
$started = [double] $Data.started
$grace = [double] $Data.grace

# The process that was meant: PIDs are reused, so its start time counts as well. Nothing where it is gone; throws where Windows does
# not say.
function Get-Meant {
    foreach ($found in @(Get-CimInstance -ClassName Win32_Process -Filter "ProcessId=$root" -ErrorAction Stop)) {
        if ($null -eq $found) { continue }
        $at = ConvertTo-Epoch $found.CreationDate
        if ($null -eq $at) { throw "Windows does not say when process $root started" }
        if ([Math]::Abs($at - $started) -le 0.05) { return $found }
    }
}

# Whether it is gone. What Windows does not say counts as no, with the reason in $Problems.Process.
function Test-Gone {
    try { $gone = $null -eq (Get-Meant) }
    catch {
        $Problems['Process'] = Get-Reason $_
        return $false
    }
    $Problems.Remove('Process')
    $gone
}

# Times are compared in UTC: local time has an hour once a year in which a child seems older than its parent
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

# Each window once: a program that asks whether to save must not be asked again and again. A process may end at any time.
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

# End the tree by force; the reason stands in $Problems.ended where that fails.
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
        # this very process, or one that it came from
        if ($numbers -contains $PID) { $how = 'own' }
    }
}
catch { $Problems['Process'] = Get-Reason $_ }

# where Windows does not show the process, nothing is done to it
if ($how -eq 'still-there' -and -not $Problems.ContainsKey('Process')) {
    if ($top.SessionId -ne 0) {
        if ($top.SessionId -eq [Diagnostics.Process]::GetCurrentProcess().SessionId) { $asked = [int] (& $ask) }
        else {
            # a command line has an end
            $list = @($numbers | Select-Object -First 1500) -join ','
            # a task that has not ended within 15 s may have asked all the same: it is given the grace as well
            $done = Invoke-UserTask ('$numbers = @(' + $list + '); ' + $ask.ToString()) (15 + $grace) { Test-Gone }
            if ($done.task -eq 'ended') { $asked = [int] $done.answer }
        }
    }
    # with force the grace is kept whatever became of the task: it may have asked, and whoever was asked may be saving
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
