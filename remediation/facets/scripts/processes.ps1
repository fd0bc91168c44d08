# All processes with owners and services. Owners, paths and roles that this login may not see are null. Command lines may hold secrets and stay
# on the host: of them, only whether a process of Ollama is a runner is returned.
param($Data)

$limit = 15  # seconds for all owners
$watch = [Diagnostics.Stopwatch]::StartNew()

# One query for all owners if the login is elevated; otherwise one per process in desktop sessions, which is slow.
# A process that ends meanwhile has no owner and does not affect the others.
$owners = @{}
try {
    foreach ($process in @(Get-Process -IncludeUserName -ErrorAction SilentlyContinue)) { $owners[[int] $process.Id] = $process.UserName }
}
catch { $owners = @{} }
$all = $owners.Count -gt 0

$services = @{}
$found = @(Get-Part 'Service' { Get-CimInstance -ClassName Win32_Service -Filter 'ProcessId<>0' -Property @('Name', 'ProcessId') })
foreach ($service in $found) {
    if ($null -eq $service -or $null -eq $service.ProcessId) { continue }
    if (-not $services.ContainsKey([int] $service.ProcessId)) { $services[[int] $service.ProcessId] = [string] $service.Name }
}

function Get-Owner($Process) {
    if ($owners.ContainsKey([int] $Process.ProcessId)) { return $owners[[int] $Process.ProcessId] }
    if ($all -or $Process.SessionId -eq 0) { return }
    if ($watch.Elapsed.TotalSeconds -gt $limit) {
        $Problems.Owner = 'not all owners were read within ' + $limit + ' s'
        return
    }
    try {
        $said = Invoke-CimMethod -InputObject $Process -MethodName GetOwner
        if ($said.ReturnValue -eq 0 -and $said.User) { return $said.Domain + '\' + $said.User }
    }
    catch { if ($_.CategoryInfo.Category -ne 'ObjectNotFound') { $Problems.Owner = Get-Reason $_ } }
}

# Whether a process of ollama.exe serves one model for a server; null for other programs and where the command line is not visible.
function Test-Runner($Process) {
    if ($Process.Name -ne 'ollama.exe' -or -not $Process.CommandLine) { return }
    [string] $Process.CommandLine -match '^("[^"]*"|[^\s"]+)\s+runner(\s|$)'
}

$rows = New-Object Collections.ArrayList
foreach ($process in @(Get-Part 'Processes' { Get-CimInstance -ClassName Win32_Process })) {
    if ($null -eq $process -or -not $process.ProcessId) { continue }
    $owner = Get-Owner $process
    if (-not $owner) { $owner = $null }
    $null = $rows.Add(@{
            ProcessId = [int] $process.ProcessId
            ParentProcessId = $process.ParentProcessId
            Name = [string] $process.Name
            ExecutablePath = $process.ExecutablePath
            SessionId = $process.SessionId
            CreationDate = Get-Part 'CreationDate' { ConvertTo-Epoch $process.CreationDate }
            Owner = $owner
            Service = $services[[int] $process.ProcessId]
            Runner = Test-Runner $process
        })
}
if ($rows.Count -eq 0 -and -not $Problems.Processes) { $Problems.Processes = 'Win32_Process lists nothing' }
ConvertTo-Json -Depth 20 -Compress -InputObject @{ Processes = $rows.ToArray(); Problems = $Problems }
