# One HTTP request from this host. Data: method, url, body (JSON text or null), timeout in seconds, stream; silence (seconds without a
# byte after which it is given up, or null) and tell: what has been read is told about once a second by the worker's Send-Told, and the
# value's body is then what is left. A server that refuses or does not answer is a value here, not an error of the script.
param($Data)

$watch = [Diagnostics.Stopwatch]::StartNew()
$limit = [double] $Data.timeout * 1000
# as in remediation/model/limits.py: what is not told in pieces has to fit into one line of the worker
$most = if ($Data.tell) { 64MB } else { 16MB }
$tooLarge = 'the answer is larger than ' + $most + ' bytes, the most that is accepted'
[Net.ServicePointManager]::Expect100Continue = $false
# 5.1 offers old protocols alone unless told otherwise; a registry wants 1.2
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

function Get-Left { [int] [Math]::Max(1, [Math]::Min([int]::MaxValue, $limit - $watch.ElapsedMilliseconds)) }

# For how long the next byte is waited.
function Get-Patience {
    if ($Data.silence) { [int] [Math]::Max(1, [Math]::Min((Get-Left), [double] $Data.silence * 1000)) }
    else { Get-Left }
}

# Wait for what is being read; meanwhile what waits to be told is told.
function Wait-Reading($Reading, $Target) {
    $until = $watch.ElapsedMilliseconds + (Get-Patience)
    while ($true) {
        $now = $watch.ElapsedMilliseconds
        if ($now -ge $limit) { throw (New-Object TimeoutException) }
        $left = $until - $now
        if ($left -le 0) { throw (New-Object TimeoutException ('nothing came for ' + $Data.silence + ' s')) }
        if ($Reading.Wait([int] [Math]::Min($left, 1000))) { return }
        Step-Telling $Target
    }
}

# At most one frame a second, and none too large for a line.
function Step-Telling($Target) {
    if (-not $Data.tell -or $Target.Length -eq 0) { return }
    if ($Target.Length -lt 200000 -and $watch.ElapsedMilliseconds - $told[0] -lt 1000) { return }
    Send-Told ($Target.ToArray())
    $Target.SetLength(0)
    $told[0] = $watch.ElapsedMilliseconds
}

function Read-Answer($Response) {
    $source = $Response.GetResponseStream()
    $target = New-Object IO.MemoryStream
    $first = $null
    $all = [long] 0
    $told = @(-1000)  # when something was told last
    $reading = $null
    $buffer = New-Object byte[] 65536
    try {
        while ($true) {
            $reading = $source.ReadAsync($buffer, 0, $buffer.Length)
            Wait-Reading $reading $target
            $count = $reading.Result
            if ($count -le 0) { break }
            if ($null -eq $first) { $first = $watch.Elapsed.TotalSeconds }
            $all += $count
            if ($all -gt $most) { throw (New-Object IO.InvalidDataException ($tooLarge)) }
            $target.Write($buffer, 0, $count)
            Step-Telling $target
        }
    }
    finally {
        # what is still being read ends with the request, and closing is no news after that
        if ($null -ne $reading -and -not $reading.IsCompleted) { $request.Abort() }
        try { $source.Close() } catch { $null = $_ }
    }
    $said = @{
        status = [int] $Response.StatusCode
        body = [Convert]::ToBase64String($target.ToArray())
        elapsed = $watch.Elapsed.TotalSeconds
        first_byte = $first
    }
    # a redirect is not followed, it is told
    if ($said.status -ge 300 -and $said.status -lt 400) { $said.location = [string] $Response.Headers['Location'] }
    $said
}

function New-Failure($Exception) {
    $cause = $Exception
    $kind = 'error'
    while ($null -ne $cause) {
        if ($cause -is [TimeoutException]) { $kind = 'timeout' }
        if ($cause -is [Net.Sockets.SocketException]) {
            if ($cause.ErrorCode -eq 10061) { $kind = 'refused' }
            if ($cause.ErrorCode -eq 10060) { $kind = 'timeout' }
        }
        if ($cause -is [Net.WebException] -and $cause.Status -eq [Net.WebExceptionStatus]::Timeout) { $kind = 'timeout' }
        $cause = $cause.InnerException
    }
    @{ error = @{ kind = $kind; message = [string] $Exception.GetBaseException().Message } }
}

$response = $null
try {
    $request = [Net.WebRequest]::Create([string] $Data.url)
    $request.Method = [string] $Data.method
    $request.Proxy = $null
    $request.KeepAlive = $false
    $request.AllowAutoRedirect = $false
    $request.Timeout = Get-Patience
    $request.ReadWriteTimeout = Get-Patience
    if ($null -ne $Data.body) {
        $bytes = [Text.Encoding]::UTF8.GetBytes([string] $Data.body)
        $request.ContentType = 'application/json'
        $request.ContentLength = $bytes.Length
        $stream = $request.GetRequestStream()
        $stream.Write($bytes, 0, $bytes.Length)
        $stream.Close()
    }
    try { $response = $request.GetResponse() }
    catch {
        # an answer with a code of 400 or more is an exception that carries the answer
        $web = $_.Exception.GetBaseException()
        if ($web -is [Net.WebException] -and $null -ne $web.Response) { $response = $web.Response }
        else { throw }
    }
    $value = Read-Answer $response
}
catch { $value = New-Failure $_.Exception }
finally { if ($null -ne $response) { $response.Close() } }
ConvertTo-Json -Depth 20 -Compress -InputObject $value
