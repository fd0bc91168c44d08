# Reads or changes a Windows service. Data: name; action (read, start, stop, pause, create, configure or remove); force; and for create
# and configure start_mode (auto, delayed, manual or disabled), path, display_name, description and username, each null to leave it.
param($Data)

$name = [string] $Data.name
$problem = $null

function Get-Row([string] $Wanted) {
    $quoted = $Wanted.Replace('\', '\\').Replace("'", "\'")
    foreach ($key in 'Name', 'DisplayName') {
        $row = @(Get-CimInstance -ClassName Win32_Service -Filter ($key + "='" + $quoted + "'") -ErrorAction Stop)[0]
        if ($null -ne $row) { return $row }
    }
}

function Assert-Zero($Answer, [string] $What) {
    if ($Answer.ReturnValue -ne 0) { throw ($What + ' returned ' + $Answer.ReturnValue) }
}

function Set-Settings($Row) {
    $change = @{}
    if ($null -ne $Data.path) { $change.PathName = [string] $Data.path }
    if ($null -ne $Data.display_name) { $change.DisplayName = [string] $Data.display_name }
    if ($null -ne $Data.username) { $change.StartName = [string] $Data.username }
    $modes = @{ auto = 'Automatic'; delayed = 'Automatic'; manual = 'Manual'; disabled = 'Disabled' }
    if ($null -ne $Data.start_mode) { $change.StartMode = $modes[[string] $Data.start_mode] }
    if ($change.Count -gt 0) { Assert-Zero (@(Invoke-CimMethod -InputObject $Row -MethodName Change -Arguments $change -ErrorAction Stop)[0]) 'Change' }
    $key = 'Registry::HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\' + $Row.Name
    if ($null -ne $Data.start_mode) {
        # the service control manager reads this when Windows starts
        Set-ItemProperty -LiteralPath $key -Name DelayedAutostart -Value ([int] ($Data.start_mode -eq 'delayed')) -ErrorAction Stop
    }
    if ($null -ne $Data.description) { Set-Service -Name $Row.Name -Description ([string] $Data.description) -ErrorAction Stop }
}

try {
    $row = Get-Row $name
    $action = [string] $Data.action
    if ($action -eq 'create' -and $null -eq $row) {
        $null = New-Service -Name $name -BinaryPathName ([string] $Data.path) -ErrorAction Stop
        $row = Get-Row $name
    }
    if ($null -ne $row) {
        switch ($action) {
            { @('create', 'configure') -contains $_ } { Set-Settings $row }
            'start' { Start-Service -Name $row.Name -ErrorAction Stop }
            'stop' { Stop-Service -Name $row.Name -Force:([bool] $Data.force) -ErrorAction Stop }
            'pause' { Suspend-Service -Name $row.Name -ErrorAction Stop }
            'remove' { Assert-Zero (@(Invoke-CimMethod -InputObject $row -MethodName Delete -ErrorAction Stop)[0]) 'Delete' }
        }
        if ($action -ne 'read') { $row = Get-Row $name }
    }
    elseif ($action -ne 'read' -and $action -ne 'remove') { $problem = 'there is no service ' + $name }
}
catch { $problem = Get-Reason $_ }

$value = @{ Exists = $null -ne $row; Problem = $problem; Problems = $Problems }
if ($null -ne $row) {
    $control = Get-Part 'Dependencies' { @(Get-Service -Name $row.Name -ErrorAction Stop)[0] }
    $value = @{
        Exists = $true
        Name = [string] $row.Name
        DisplayName = [string] $row.DisplayName
        Description = [string] $row.Description
        State = [string] $row.State
        StartMode = [string] $row.StartMode
        Delayed = [bool] $row.DelayedAutoStart
        PathName = [string] $row.PathName
        StartName = [string] $row.StartName
        DesktopInteract = [bool] $row.DesktopInteract
        Dependencies = @($control.ServicesDependedOn | ForEach-Object { [string] $_.Name })
        DependedBy = @($control.DependentServices | ForEach-Object { [string] $_.Name })
        AcceptPause = [bool] $row.AcceptPause
        Problem = $problem
        Problems = $Problems
    }
}
ConvertTo-Json -Depth 20 -Compress -InputObject $value
