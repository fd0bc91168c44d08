# One HTTP request from this host. Data: method, url, body (JSON text or null), timeout in seconds, stream; silence (seconds without a
# byte after which it is given up, or null) and tell: what has been read is told about once a second by the worker's Send-Told, and the
# value's body is then what is left. A server that refuses or does not answer is a value here, not an error of the script.
param($Data)

$web = @{
    method = $Data.method
    url = $Data.url
    body = $Data.body
    timeout = $Data.timeout
    silence = $Data.silence
    tell = $Data.tell
}
ConvertTo-Json -Depth 20 -Compress -InputObject (Invoke-Web $web)
