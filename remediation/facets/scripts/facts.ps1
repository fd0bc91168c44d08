# The machine under the names that Ansible's facts are made of. Memory in KiB, times as Unix time.
# A part that Windows does not answer is null, with the reason in Problems.
param($Data)

$system = Get-Part 'Win32_OperatingSystem' { @(Get-CimInstance -ClassName Win32_OperatingSystem)[0] }
$machine = Get-Part 'Win32_ComputerSystem' { @(Get-CimInstance -ClassName Win32_ComputerSystem)[0] }
$user = Get-Part 'User' { [string] [Security.Principal.WindowsIdentity]::GetCurrent().Name }
$addresses = @(Get-Part 'Addresses' { foreach ($each in [Net.Dns]::GetHostAddresses([Environment]::MachineName)) { [string] $each } })
$environment = @{}
$variables = Get-Part 'Environment' { [Environment]::GetEnvironmentVariables() }
if ($variables) { foreach ($key in @($variables.Keys)) { $environment[[string] $key] = [string] $variables[$key] } }
$version = $system.Version
if (-not $version) { $version = [Environment]::OSVersion.Version.ToString(3) }
$now = [DateTime]::UtcNow
$architecture = $system.OSArchitecture
if (-not $architecture) { $architecture = $env:PROCESSOR_ARCHITECTURE }

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    Caption = $system.Caption
    Version = [string] $version
    ProductType = $system.ProductType
    Architecture = $architecture
    Hostname = [string] [Environment]::MachineName
    Domain = $machine.Domain
    Manufacturer = $machine.Manufacturer
    Model = $machine.Model
    Sockets = $machine.NumberOfProcessors
    LogicalProcessors = $machine.NumberOfLogicalProcessors
    TotalVisibleMemorySize = $system.TotalVisibleMemorySize
    FreePhysicalMemory = $system.FreePhysicalMemory
    Now = ConvertTo-Epoch $now
    OffsetMinutes = [TimeZoneInfo]::Local.GetUtcOffset($now).TotalMinutes
    Zone = [string] [TimeZoneInfo]::Local.StandardName
    LastBootUpTime = Get-Part 'LastBootUpTime' { ConvertTo-Epoch $system.LastBootUpTime }
    User = $user
    UserProfile = $env:USERPROFILE
    PSVersion = [string] $PSVersionTable.PSVersion
    Environment = $environment
    Addresses = $addresses
    Problems = $Problems
}
