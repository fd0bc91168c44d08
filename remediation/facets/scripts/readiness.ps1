# The prerequisites of a repair: WinRM quotas, the performance counter classes of per-process memory, WSL. Read only.
param($Data)

$byPolicy = New-Object Collections.ArrayList

# A value set by a policy is an element with an attribute besides its text.
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

function Read-Quotas {
    $config = Get-WSManInstance -ResourceURI 'winrm/config' | Select-Object -First 1
    if ($null -eq $config) { throw 'winrm/config is empty' }
    @{
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

# System32\wsl.exe exists without WSL too, but a service does not.
function Find-Wsl {
    foreach ($name in @('WSLService', 'LxssManager')) {
        try { $there = Get-Service -Name $name | Select-Object -First 1 }
        catch {
            if ([string] $_.FullyQualifiedErrorId -notlike 'NoServiceFoundForGivenName*') { throw }
            $there = $null
        }
        if ($there) { return $there }
    }
    # Windows reports a service as missing if the login may not query it
    foreach ($name in @('WSLService', 'LxssManager')) {
        $hidden = $version -or (Test-Path -LiteralPath ('HKLM:\SYSTEM\CurrentControlSet\Services\' + $name))
        if ($hidden) { throw 'WSL is there, and Windows does not tell this login of its service' }
    }
}

function Read-Version {
    if (-not $env:ProgramFiles) { return $null }
    $program = Join-Path $env:ProgramFiles 'WSL\wsl.exe'
    if (Test-Path -LiteralPath $program) { [string] [Diagnostics.FileVersionInfo]::GetVersionInfo($program).ProductVersion }
}

# Reports inaccessible keys but not missing ones: a user without WSL, one who has logged off, a service account.
function Add-Refusal($Records) {
    foreach ($record in @($Records)) {
        if ($null -eq $record -or $record.CategoryInfo.Category -eq 'ObjectNotFound') { continue }
        if ([string] $record.TargetObject -match 'S-1-5-(18|19|20)(_Classes)?$') { continue }
        $Problems.Distributions = Get-Reason $record
    }
}

# A user's distributions are in that user's registry hive, which is loaded while the user is logged on.
function Read-Distributions {
    $own = [Security.Principal.WindowsIdentity]::GetCurrent().User.Value
    $errors = $null
    $hives = @(Get-ChildItem -LiteralPath 'Registry::HKEY_USERS' -ErrorAction SilentlyContinue -ErrorVariable errors)
    Add-Refusal $errors
    foreach ($hive in $hives) {
        $place = 'Registry::' + $hive.Name + '\Software\Microsoft\Windows\CurrentVersion\Lxss'
        $errors = $null
        $keys = @(Get-ChildItem -LiteralPath $place -ErrorAction SilentlyContinue -ErrorVariable errors)
        Add-Refusal $errors
        foreach ($key in $keys) {
            try {
                $title = $key.GetValue('DistributionName')
                if (-not $title) { continue }
                $null = $distributions.Add(@{ Name = [string] $title; Version = $key.GetValue('Version'); Own = $hive.PSChildName -eq $own })
            }
            catch { Add-Refusal $_ }
        }
    }
}

$quotas = Get-Part 'Quotas' { Read-Quotas }
$classes = New-Object Collections.ArrayList
foreach ($class in @(Get-Part 'GpuClasses' { Get-CimClass -Namespace 'root/cimv2' -ClassName 'Win32_PerfFormattedData_GPUPerformanceCounters_*' })) {
    if ($class.CimClassName) { $null = $classes.Add([string] $class.CimClassName) }
}
$version = Get-Part 'WslVersion' { Read-Version }
$service = Get-Part 'WslService' { Find-Wsl }
$state = $null
if ($service) { $state = [string] $service.Status; $service = [string] $service.Name }
$distributions = New-Object Collections.ArrayList
Get-Part 'Distributions' { Read-Distributions }

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    Quotas = $quotas
    QuotasProblem = $Problems.Quotas
    ByPolicy = $byPolicy.ToArray()
    GpuClasses = $classes.ToArray()
    GpuClassesProblem = $Problems.GpuClasses
    WslService = $service
    WslState = $state
    WslVersion = $version
    Distributions = $distributions.ToArray()
    Problems = $Problems
}
