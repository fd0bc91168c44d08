# Sends one HTTP request from this host. Data: method, url, body (JSON text or null), timeout (seconds), stream; silence (seconds
# without data before the request times out, or null) and tell: received data is sent about once a second with the worker's Send-Chunk,
# and the returned body is the rest. A server that refuses or does not answer is a value here, not a script error.
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
