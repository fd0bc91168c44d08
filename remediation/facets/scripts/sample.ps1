# nvidia-smi again and again. Data: fields, every (seconds between two looks), count (how many).
param($Data)

$rows = New-Object Collections.ArrayList
$code = $null
$words = ''
$program = Find-Smi
if ($program) {
    $info = New-Object Diagnostics.ProcessStartInfo
    $info.FileName = $program
    $info.Arguments = '--query-gpu=' + (@($Data.fields) -join ',') + ' --format=csv,noheader,nounits'
    $info.UseShellExecute = $false
    $info.CreateNoWindow = $true
    $info.RedirectStandardOutput = $true
    $info.RedirectStandardError = $true
    for ($at = 0; $at -lt [int] $Data.count; $at++) {
        $watch = [Diagnostics.Stopwatch]::StartNew()
        $moment = ([DateTime]::UtcNow.Ticks - 621355968000000000) / 1e7
        $process = [Diagnostics.Process]::Start($info)
        $out = $process.StandardOutput.ReadToEndAsync()
        $err = $process.StandardError.ReadToEndAsync()
        if (-not $process.WaitForExit(20000)) {
            $process.Kill()
            $code = 255
            $words = 'nvidia-smi did not answer within 20 s'
            break
        }
        $code = $process.ExitCode
        $words = [string] $err.Result
        if ($code -ne 0) { $words = $words + [string] $out.Result; break }
        $null = $rows.Add(@{ At = $moment; Text = [string] $out.Result })
        $left = [int] ([double] $Data.every * 1000 - $watch.ElapsedMilliseconds)
        if ($left -gt 0 -and $at + 1 -lt [int] $Data.count) { Start-Sleep -Milliseconds $left }
    }
}
ConvertTo-Json -Depth 20 -Compress -InputObject @{ rc = $code; stderr = $words; rows = $rows.ToArray() }
