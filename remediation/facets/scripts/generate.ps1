# One request to the model while the loads of GPU and CPU are looked at. Data: url, body (JSON text), timeout in seconds, sample.
# The request runs in a runspace of its own, because this process does one thing at a time.
param($Data)

$ask = {
    param($Url, $Body, $Timeout)
    $ErrorActionPreference = 'Stop'
    $watch = [Diagnostics.Stopwatch]::StartNew()
    $limit = [double] $Timeout * 1000
    $most = 16MB
    [Net.ServicePointManager]::Expect100Continue = $false
    $response = $null
    try {
        $request = [Net.WebRequest]::Create([string] $Url)
        $request.Method = 'POST'
        $request.Proxy = $null
        $request.KeepAlive = $false
        $request.AllowAutoRedirect = $false
        $request.Timeout = [int] [Math]::Min([int]::MaxValue, $limit)
        $request.ReadWriteTimeout = [int] [Math]::Min([int]::MaxValue, $limit)
        $bytes = [Text.Encoding]::UTF8.GetBytes([string] $Body)
        $request.ContentType = 'application/json'
        $request.ContentLength = $bytes.Length
        $stream = $request.GetRequestStream()
        $stream.Write($bytes, 0, $bytes.Length)
        $stream.Close()
        try { $response = $request.GetResponse() }
        catch {
            $web = $_.Exception.GetBaseException()
            if ($web -is [Net.WebException] -and $null -ne $web.Response) { $response = $web.Response }
            else { throw }
        }
        $source = $response.GetResponseStream()
        $target = New-Object IO.MemoryStream
        $buffer = New-Object byte[] 65536
        $first = $null
        $last = $null
        $cut = $false
        while ($true) {
            $left = $limit - $watch.ElapsedMilliseconds
            if ($left -le 0) { $cut = $true; break }
            if ($source.CanTimeout) { $source.ReadTimeout = [int] [Math]::Min([int]::MaxValue, [Math]::Max(1, $left)) }
            try { $count = $source.Read($buffer, 0, $buffer.Length) }
            catch {
                # the tokens that came before the deadline are figures too
                if ($limit - $watch.ElapsedMilliseconds -gt 500) { throw }
                $cut = $true
                break
            }
            if ($count -le 0) { break }
            $last = $watch.Elapsed.TotalSeconds
            if ($null -eq $first) { $first = $last }
            if ($target.Length -gt $most) { throw (New-Object IO.InvalidDataException ('the answer is larger than 16 MB, the most that is accepted')) }
            $target.Write($buffer, 0, $count)
        }
        if ($cut -and $null -eq $first) { throw (New-Object TimeoutException) }
        $said = @{
            status = [int] $response.StatusCode
            body = [Convert]::ToBase64String($target.ToArray())
            elapsed = $watch.Elapsed.TotalSeconds
            first_byte = $first
            last_byte = $last
            cut = $cut
        }
        $said.place = [string] $response.Headers['Location']
        $said
    }
    catch {
        $kind = 'error'
        $cause = $_.Exception
        while ($null -ne $cause) {
            if ($cause -is [TimeoutException]) { $kind = 'timeout' }
            if ($cause -is [Net.WebException] -and $cause.Status -eq [Net.WebExceptionStatus]::Timeout) { $kind = 'timeout' }
            if ($cause -is [Net.Sockets.SocketException] -and $cause.ErrorCode -eq 10061) { $kind = 'refused' }
            $cause = $cause.InnerException
        }
        @{ error = @{ kind = $kind; message = [string] $_.Exception.GetBaseException().Message } }
    }
    finally { if ($null -ne $response) { $response.Close() } }
}

# nvidia-smi prints a line every 250 ms by itself: starting it anew for each sample would load the machine that is measured
function Start-Smi {
    $place = Join-Path $env:SystemRoot 'System32\nvidia-smi.exe'
    if (-not (Test-Path -LiteralPath $place)) { $place = Join-Path $env:ProgramFiles 'NVIDIA Corporation\NVSMI\nvidia-smi.exe' }
    if (-not (Test-Path -LiteralPath $place)) { return $null }
    $info = New-Object Diagnostics.ProcessStartInfo
    $info.FileName = $place
    $info.Arguments = '--query-gpu=utilization.gpu --format=csv,noheader,nounits --loop-ms=250'
    $info.UseShellExecute = $false
    $info.CreateNoWindow = $true
    $info.RedirectStandardOutput = $true
    [Diagnostics.Process]::Start($info)
}

$gpu = New-Object Collections.ArrayList
$cpu = New-Object Collections.ArrayList
$smi = $null
$shell = [PowerShell]::Create()
try {
    if ($Data.sample) { try { $smi = Start-Smi } catch { $smi = $null } }
    $null = $shell.AddScript($ask.ToString()).AddArgument($Data.url).AddArgument($Data.body).AddArgument($Data.timeout)
    $running = $shell.BeginInvoke()
    while (-not $running.IsCompleted) {
        if ($Data.sample) {
            try {
                $busy = Get-CimInstance -ClassName Win32_PerfFormattedData_PerfOS_Processor -Filter "Name='_Total'" -Property PercentProcessorTime
                $null = $cpu.Add([int] $busy.PercentProcessorTime)
            }
            catch { $null = $_ }
        }
        $null = $running.AsyncWaitHandle.WaitOne(250)
    }
    $answer = @($shell.EndInvoke($running))[-1]
}
finally {
    $shell.Dispose()
    if ($null -ne $smi) {
        try { $smi.Kill() } catch { $null = $_ }
        foreach ($line in @($smi.StandardOutput.ReadToEnd() -split "`n")) {
            # several cards print a line each; the busiest of them does not matter here, one model runs on one card
            if ($line.Trim() -match '^\d+$') { $null = $gpu.Add([int] $line.Trim()) }
        }
    }
}

if ($null -ne $answer.error) { $value = @{ error = $answer.error } }
else {
    $value = @{
        status = $answer.status
        body = $answer.body
        elapsed = $answer.elapsed
        first_byte = $answer.first_byte
        last_byte = $answer.last_byte
        cut = $answer.cut
        gpu = $gpu.ToArray()
        cpu = $cpu.ToArray()
    }
    # a redirect is not followed, it is told
    if ($value.status -ge 300 -and $value.status -lt 400) { $value.location = $answer.place }
}
ConvertTo-Json -Depth 20 -Compress -InputObject $value
