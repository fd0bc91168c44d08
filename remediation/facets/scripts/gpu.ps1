# nvidia-smi's CSV output, and the GPU performance counter classes, the only source of per-process memory under WDDM.
# Data: fields to query, and fallback, a subset: one unknown field fails the whole query with code 2.
param($Data)

$limit = 20  # seconds, for both queries together
$watch = [Diagnostics.Stopwatch]::StartNew()
$fields = @($Data.fields)
$done = $null
$program = Get-Part 'rc' { Find-Smi }
if ($program) {
    $done = Get-Part 'rc' { Invoke-Smi $program $fields $limit }
    if ($null -ne $done -and $done.rc -eq 2 -and @($Data.fallback).Count -gt 0) {
        $fields = @($Data.fallback)
        $done = Get-Part 'rc' { Invoke-Smi $program $fields ($limit - $watch.Elapsed.TotalSeconds) }
    }
}
if ($null -eq $done) { $done = @{ rc = $null; stdout = ''; stderr = '' } }

# class names are not localized, counter names are
$rows = @(Get-Part 'process_memory' { Get-CimInstance -ClassName Win32_PerfFormattedData_GPUPerformanceCounters_GPUProcessMemory })
$processMemory = New-Object Collections.ArrayList
foreach ($row in $rows) {
    if ($null -eq $row) { continue }
    $null = $processMemory.Add(@{
            Name = [string] $row.Name
            LocalUsage = $row.LocalUsage
            NonLocalUsage = $row.NonLocalUsage
            DedicatedUsage = $row.DedicatedUsage
            SharedUsage = $row.SharedUsage
        })
}
$rows = @(Get-Part 'adapter_memory' { Get-CimInstance -ClassName Win32_PerfFormattedData_GPUPerformanceCounters_GPUAdapterMemory })
$adapterMemory = New-Object Collections.ArrayList
foreach ($row in $rows) {
    if ($null -eq $row) { continue }
    $null = $adapterMemory.Add(@{ Name = [string] $row.Name; DedicatedUsage = $row.DedicatedUsage; SharedUsage = $row.SharedUsage })
}
$problem = $Problems.process_memory
if ($null -eq $problem) { $problem = $Problems.adapter_memory }

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    rc = $done.rc
    stdout = $done.stdout
    stderr = $done.stderr
    fields = [object[]] $fields
    process_memory = $processMemory.ToArray()
    adapter_memory = $adapterMemory.ToArray()
    counters_error = $problem
    Problems = $Problems
}
