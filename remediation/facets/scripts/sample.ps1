# Runs nvidia-smi repeatedly. Data: fields, every (seconds between samples), count (number of samples).
param($Data)

$limit = 20  # seconds
$rows = New-Object Collections.ArrayList
$done = @{ rc = $null; stderr = '' }
$every = [double] $Data.every * 1000
$whole = [Diagnostics.Stopwatch]::StartNew()
$program = Get-Part 'rc' { Find-Smi }
for ($at = 0; $program -and $at -lt [int] $Data.count; $at++) {
    $watch = [Diagnostics.Stopwatch]::StartNew()
    $moment = ConvertTo-Epoch ([DateTime]::UtcNow)
    $done = Get-Part 'rc' { Invoke-Smi $program @($Data.fields) $limit }
    if ($null -eq $done) { $done = @{ rc = $null; stderr = '' }; break }
    if ($done.rc -ne 0) { $done.stderr = [string] $done.stderr + [string] $done.stdout; break }
    $null = $rows.Add(@{ At = $moment; Text = [string] $done.stdout })
    # a slow nvidia-smi yields fewer samples
    if ($whole.ElapsedMilliseconds -ge $every * ([int] $Data.count - 1)) { break }
    $left = [int] ($every - $watch.ElapsedMilliseconds)
    if ($left -gt 0) { Start-Sleep -Milliseconds $left }
}
ConvertTo-Json -Depth 20 -Compress -InputObject @{ rc = $done.rc; stderr = [string] $done.stderr; rows = $rows.ToArray(); Problems = $Problems }
