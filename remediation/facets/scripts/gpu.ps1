# nvidia-smi's CSV as it is, and the GPU performance classes: under WDDM they alone know the memory of a process.
# Data: fields to ask for, and fallback, fewer of them: one unknown name fails the whole query with code 2.
param($Data)

function Invoke-Smi([string] $Program, $Fields) {
    $info = New-Object Diagnostics.ProcessStartInfo
    $info.FileName = $Program
    $info.Arguments = '--query-gpu=' + (@($Fields) -join ',') + ' --format=csv,noheader,nounits'
    $info.UseShellExecute = $false
    $info.CreateNoWindow = $true
    $info.RedirectStandardOutput = $true
    $info.RedirectStandardError = $true
    $process = [Diagnostics.Process]::Start($info)
    $out = $process.StandardOutput.ReadToEndAsync()
    $err = $process.StandardError.ReadToEndAsync()
    if (-not $process.WaitForExit(20000)) {
        $process.Kill()
        return @{ rc = 255; stdout = ''; stderr = 'nvidia-smi did not answer within 20 s' }
    }
    @{ rc = $process.ExitCode; stdout = [string] $out.Result; stderr = [string] $err.Result }
}

$program = Find-Smi
$fields = @($Data.fields)
if ($program) {
    $done = Invoke-Smi $program $fields
    if ($done.rc -eq 2 -and @($Data.fallback).Count -gt 0) {
        $fields = @($Data.fallback)
        $done = Invoke-Smi $program $fields
    }
}
else { $done = @{ rc = $null; stdout = ''; stderr = '' } }

$processMemory = New-Object Collections.ArrayList
$adapterMemory = New-Object Collections.ArrayList
$problem = $null
try {
    # the classes' names are the same in every language, the counters' are not
    foreach ($row in @(Get-CimInstance -ClassName Win32_PerfFormattedData_GPUPerformanceCounters_GPUProcessMemory)) {
        $null = $processMemory.Add(@{
                Name = [string] $row.Name
                LocalUsage = $row.LocalUsage
                NonLocalUsage = $row.NonLocalUsage
                DedicatedUsage = $row.DedicatedUsage
                SharedUsage = $row.SharedUsage
            })
    }
    foreach ($row in @(Get-CimInstance -ClassName Win32_PerfFormattedData_GPUPerformanceCounters_GPUAdapterMemory)) {
        $null = $adapterMemory.Add(@{ Name = [string] $row.Name; DedicatedUsage = $row.DedicatedUsage; SharedUsage = $row.SharedUsage })
    }
}
catch { $problem = [string] $_.Exception.Message }

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    rc = $done.rc
    stdout = $done.stdout
    stderr = $done.stderr
    fields = [object[]] $fields
    process_memory = $processMemory.ToArray()
    adapter_memory = $adapterMemory.ToArray()
    counters_error = $problem
}
