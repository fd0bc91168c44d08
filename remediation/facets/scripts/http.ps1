# One HTTP request from this host. Data: method, url, body (JSON text or null), timeout in seconds, stream.
# A server that refuses or does not answer is a value here, not an error of the script.
param($Data)
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

$watch = [Diagnostics.Stopwatch]::StartNew()
$limit = [double] $Data.timeout * 1000
[Net.ServicePointManager]::Expect100Continue = $false
# 5.1 offers old protocols alone unless told otherwise; a registry wants 1.2
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

function Get-Left { [int] [Math]::Max(1, [Math]::Min([int]::MaxValue, $limit - $watch.ElapsedMilliseconds)) }

function Read-Answer($Response) {
    $source = $Response.GetResponseStream()
    $target = New-Object IO.MemoryStream
    $first = $null
    $buffer = New-Object byte[] 65536
    try {
        while ($true) {
            if ($watch.ElapsedMilliseconds -ge $limit) { throw (New-Object TimeoutException) }
            if ($source.CanTimeout) { $source.ReadTimeout = Get-Left }
            $count = $source.Read($buffer, 0, $buffer.Length)
            if ($count -le 0) { break }
            if ($null -eq $first) { $first = $watch.Elapsed.TotalSeconds }
            $target.Write($buffer, 0, $count)
        }
    }
    finally { $source.Close() }
    @{
        status = [int] $Response.StatusCode
        body = [Convert]::ToBase64String($target.ToArray())
        elapsed = $watch.Elapsed.TotalSeconds
        first_byte = $first
    }
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
    $request.Timeout = Get-Left
    $request.ReadWriteTimeout = Get-Left
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
