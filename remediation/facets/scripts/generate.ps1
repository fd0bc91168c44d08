# Sends one request to the model while GPU and CPU load are sampled. Data: url, body (JSON text), timeout (seconds), sample.
# The request runs in a separate runspace, because this process handles one call at a time.
param($Data)

# nvidia-smi prints a line per card every 250 ms: starting it for each sample would load the measured machine
function Start-Loop {
    $program = Find-Smi
    if (-not $program) { throw 'nvidia-smi was not found' }
    Start-Reading $program '--query-gpu=utilization.gpu --format=csv,noheader,nounits --loop-ms=250'
}

# The load of the busiest card since the last sample: a model on one card leaves the others idle.
function Add-Load($Smi) {
    $text = $Smi.stdout.text
    $whole = $text.ToString().LastIndexOf("`n") + 1
    $loads = @($text.ToString(0, $whole) -split "`n" | Where-Object { $_ -match '^\s*\d+\s*$' } | ForEach-Object { [int] $_ })
    $null = $text.Remove(0, $whole)
    if ($loads.Count -gt 0) { $null = $gpu.Add(($loads | Measure-Object -Maximum).Maximum) }
}

$gpu = New-Object Collections.ArrayList
$cpu = New-Object Collections.ArrayList
$smi = $null
$ended = $false
$answer = $null
$limit = [double] $Data.timeout * 1000
$web = @{ method = 'POST'; url = $Data.url; body = $Data.body; timeout = $Data.timeout; keep = $true }
$shell = [PowerShell]::Create()
# opened before the time starts: this takes a while on a busy machine
$shell.Runspace = [Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace()
$shell.Runspace.Open()
$watch = New-Object Diagnostics.Stopwatch
try {
    if ($Data.sample) { $smi = Get-Part 'gpu' { Start-Loop } }
    $null = $shell.AddScript(${function:Invoke-Web}.ToString()).AddArgument($web)
    $watch.Start()
    $running = $shell.BeginInvoke()
    # the request enforces its own time limit; if even that hangs (a DNS server that does not answer), it is abandoned
    while (-not $running.IsCompleted -and $watch.ElapsedMilliseconds -lt $limit + 1500) {
        if ($Data.sample) {
            $patience = [int] [Math]::Max(1, [Math]::Min(5, ($limit - $watch.ElapsedMilliseconds) / 1000))
            $PSDefaultParameterValues['Get-CimInstance:OperationTimeoutSec'] = $patience
            $busy = Get-Part 'cpu' {
                Get-CimInstance -ClassName Win32_PerfFormattedData_PerfOS_Processor -Filter "Name='_Total'" -Property PercentProcessorTime
            }
            foreach ($row in @($busy)) { if ($null -ne $row.PercentProcessorTime) { $null = $cpu.Add([int] $row.PercentProcessorTime) } }
            if ($null -ne $smi) { $null = Wait-Reading $smi 20; Add-Load $smi }
        }
        $null = $running.AsyncWaitHandle.WaitOne(230)
    }
    $ended = $running.IsCompleted
    if ($ended) { $answer = @($shell.EndInvoke($running))[-1] }
}
finally {
    if ($null -ne $smi) {
        $code = $null
        if ($smi.process.HasExited) { $code = $smi.process.ExitCode }
        Stop-Reading $smi
        $null = Wait-Reading $smi 0
        Add-Load $smi
        if ($code) { $Problems.gpu = 'nvidia-smi ended with ' + $code + ': ' + ($smi.stderr.text.ToString() -replace '\s+', ' ').Trim() }
    }
    # disposing would wait for a running request
    if ($ended) { $shell.Runspace.Dispose(); $shell.Dispose() } else { $null = $shell.BeginStop($null, $null) }
}
# single failures do not matter if there are samples
if ($gpu.Count -gt 0) { $Problems.Remove('gpu') }
if ($cpu.Count -gt 0) { $Problems.Remove('cpu') }

if ($null -eq $answer) { $answer = @{ error = @{ kind = 'timeout'; message = 'no answer within ' + $Data.timeout + ' s' } } }
$value = @{ error = $answer.error; Problems = $Problems }
if ($null -ne $answer.status) {
    $value = @{
        status = $answer.status
        body = $answer.body
        elapsed = $answer.elapsed
        first_byte = $answer.first_byte
        last_byte = $answer.last_byte
        cut = $answer.cut
        gpu = $gpu.ToArray()
        cpu = $cpu.ToArray()
        Problems = $Problems
    }
    # the answer timed out before it was complete
    if ($null -ne $answer.error) { $value.error = $answer.error }
    if ($null -ne $answer.location) { $value.location = $answer.location }
}
ConvertTo-Json -Depth 20 -Compress -InputObject $value
