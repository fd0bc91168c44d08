# Shows a message to the desktop user for some seconds, without waiting for it to be read. Data: message, seconds.
param($Data)

# 4096: above all windows; 64: information icon. The text is base64, so that no part of it is parsed as PowerShell.
$show = {
    $words = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($message))
    $null = (New-Object -ComObject WScript.Shell).Popup($words, $seconds, 'remediation', 4096 + 64)
    0
}

# the length of a command line is limited
$words = [string] $Data.message
if ($words.Length -gt 2000) { $words = $words.Substring(0, 2000) }
$message = [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($words))
$text = '$message = ''' + $message + '''; $seconds = ' + [int] $Data.seconds + '; ' + $show.ToString()
# the task runs while the message is on the screen, and the message outlives the task's entry
$done = Invoke-UserTask $text 10 { $args[0] -eq 267009 }
$shown = $done.task -eq 'ended' -or ($done.task -eq 'running' -and $done.code -eq 267009)
$answer = @{ shown = $shown }
# without a user, no task was started
if ($done.user -or $done.task -ne 'refused') { $answer += @{ task = $done.task; task_code = $done.code; Problems = $Problems } }
ConvertTo-Json -Depth 20 -Compress -InputObject $answer
