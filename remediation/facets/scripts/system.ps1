# The machine according to Win32_OperatingSystem. Memory in KiB, times as Unix time.
# Name and version are available without that class too.
param($Data)

$class = 'Win32_OperatingSystem'
$system = @(Get-Part $class { Get-CimInstance -ClassName $class })[0]
$why = $Problems[$class]
$Problems.Remove($class)
if (-not $why) { $why = $class + ' has no value for it' }

$name = $system.CSName
if (-not $name) { $name = [Environment]::MachineName }
$version = $system.Version
if (-not $version) { $version = [Environment]::OSVersion.Version.ToString(3) }
$value = @{
    Caption = $system.Caption
    Version = [string] $version
    Hostname = [string] $name
    TotalVisibleMemorySize = $system.TotalVisibleMemorySize
    FreePhysicalMemory = $system.FreePhysicalMemory
    Now = ConvertTo-Epoch ([DateTime]::UtcNow)
    LastBootUpTime = Get-Part 'LastBootUpTime' { ConvertTo-Epoch $system.LastBootUpTime }
    Problems = $Problems
}
foreach ($key in @($value.Keys)) { if ($null -eq $value[$key] -and -not $Problems[$key]) { $Problems[$key] = $why } }
ConvertTo-Json -Depth 20 -Compress -InputObject $value
