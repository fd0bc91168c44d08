# What a repair rests on before it begins: WinRM's quotas, the classes that know the memory of programs, WSL. Only reads.
param($Data)

$byPolicy = New-Object Collections.ArrayList

# A value that a policy sets comes as an element with an attribute beside its text
function Read-Value($Parent, [string] $Name) {
    if ($null -eq $Parent) { return $null }
    $value = $Parent.$Name
    if ($null -eq $value) { return $null }
    if ($value -is [Xml.XmlElement]) {
        if ($value.GetAttribute('Source')) { $null = $byPolicy.Add($Name) }
        return [string] $value.InnerText
    }
    [string] $value
}

$quotas = $null
$quotasProblem = $null
try {
    $config = Get-WSManInstance -ResourceURI 'winrm/config'
    $quotas = @{
        MaxShellsPerUser = Read-Value $config.Winrs 'MaxShellsPerUser'
        MaxProcessesPerShell = Read-Value $config.Winrs 'MaxProcessesPerShell'
        MaxMemoryPerShellMB = Read-Value $config.Winrs 'MaxMemoryPerShellMB'
        MaxConcurrentUsers = Read-Value $config.Winrs 'MaxConcurrentUsers'
        IdleTimeout = Read-Value $config.Winrs 'IdleTimeout'
        MaxConcurrentOperationsPerUser = Read-Value $config.Service 'MaxConcurrentOperationsPerUser'
        MaxConnections = Read-Value $config.Service 'MaxConnections'
        MaxEnvelopeSizekb = Read-Value $config 'MaxEnvelopeSizekb'
        MaxTimeoutms = Read-Value $config 'MaxTimeoutms'
    }
}
catch { $quotasProblem = [string] $_.Exception.Message }

$classes = New-Object Collections.ArrayList
$classesProblem = $null
try {
    foreach ($class in @(Get-CimClass -Namespace 'root/cimv2' -ClassName 'Win32_PerfFormattedData_GPUPerformanceCounters_*')) {
        $null = $classes.Add([string] $class.CimClassName)
    }
}
catch { $classesProblem = [string] $_.Exception.Message }

# The program below System32 is there on machines without WSL as well; a service is not
$service = $null
$state = $null
foreach ($name in @('WSLService', 'LxssManager')) {
    $there = Get-Service -Name $name -ErrorAction SilentlyContinue
    if ($there) { $service = $name; $state = [string] $there.Status; break }
}
$version = $null
$program = Join-Path $env:ProgramFiles 'WSL\wsl.exe'
if (Test-Path -LiteralPath $program) { $version = [string] [Diagnostics.FileVersionInfo]::GetVersionInfo($program).ProductVersion }

# A user's distributions stand in that user's part of the registry, loaded while they are logged on
$own = [Security.Principal.WindowsIdentity]::GetCurrent().User.Value
$distributions = New-Object Collections.ArrayList
foreach ($hive in @(Get-ChildItem -LiteralPath 'Registry::HKEY_USERS' -ErrorAction SilentlyContinue)) {
    $place = 'Registry::' + $hive.Name + '\Software\Microsoft\Windows\CurrentVersion\Lxss'
    foreach ($key in @(Get-ChildItem -LiteralPath $place -ErrorAction SilentlyContinue)) {
        $title = $key.GetValue('DistributionName')
        if ($title) { $null = $distributions.Add(@{ Name = [string] $title; Version = $key.GetValue('Version'); Own = $hive.PSChildName -eq $own }) }
    }
}

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    Quotas = $quotas
    QuotasProblem = $quotasProblem
    ByPolicy = $byPolicy.ToArray()
    GpuClasses = $classes.ToArray()
    GpuClassesProblem = $classesProblem
    WslService = $service
    WslState = $state
    WslVersion = $version
    Distributions = $distributions.ToArray()
}
