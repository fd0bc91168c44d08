# All processes with owners and services. Who may not see an owner or a path gets null there.
param($Data)

# One pass for all owners where the login is elevated; else process by process, and only at the desktop: that is slow.
$owners = @{}
$all = $true
try { Get-Process -IncludeUserName | ForEach-Object { $owners[[int] $_.Id] = $_.UserName } } catch { $all = $false }

$services = @{}
foreach ($service in @(Get-CimInstance -ClassName Win32_Service -Filter 'ProcessId<>0' -Property @('Name', 'ProcessId'))) {
    if (-not $services.ContainsKey([int] $service.ProcessId)) { $services[[int] $service.ProcessId] = [string] $service.Name }
}

$rows = New-Object Collections.ArrayList
foreach ($process in @(Get-CimInstance -ClassName Win32_Process)) {
    $number = [int] $process.ProcessId
    if ($number -eq 0) { continue }
    $owner = $owners[$number]
    if (-not $all -and $process.SessionId -ne 0) {
        try {
            $found = Invoke-CimMethod -InputObject $process -MethodName GetOwner
            if ($found.ReturnValue -eq 0) { $owner = $found.Domain + '\' + $found.User }
        }
        catch { $owner = $null }
    }
    if (-not $owner) { $owner = $null }
    $null = $rows.Add(@{
            ProcessId = $number
            ParentProcessId = [int] $process.ParentProcessId
            Name = [string] $process.Name
            ExecutablePath = $process.ExecutablePath
            SessionId = [int] $process.SessionId
            CreationDate = ConvertTo-Epoch $process.CreationDate
            Owner = $owner
            Service = $services[$number]
        })
}
ConvertTo-Json -Depth 20 -Compress -InputObject $rows.ToArray()
