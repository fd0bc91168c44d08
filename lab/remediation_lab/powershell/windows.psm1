# Windows' own commands under PowerShell 7 on another system, answered by a machine of the lab; the types of .NET are in windows.cs.
# Windows' binary cmdlets obey the caller's $ErrorActionPreference; the functions of its ScheduledTasks module see the global one alone.

if (-not ('RemediationLab.World' -as [type])) {
    # by commands: a type that has been used under its name once keeps it
    if (-not (Microsoft.PowerShell.Management\Test-Path -LiteralPath $env:REMEDIATION_LAB_TYPES)) {
        $fresh = $env:REMEDIATION_LAB_TYPES + '.' + $PID
        Add-Type -Path (Microsoft.PowerShell.Management\Join-Path $PSScriptRoot 'windows.cs') -OutputAssembly $fresh
        Microsoft.PowerShell.Management\Move-Item -LiteralPath $fresh -Destination $env:REMEDIATION_LAB_TYPES -Force
    }
    Add-Type -Path $env:REMEDIATION_LAB_TYPES
}

$Replaced = @{
    'Diagnostics.FileVersionInfo' = 'VersionInfo'; 'Diagnostics.Process' = 'Process'; 'Diagnostics.Stopwatch' = 'Stopwatch'; 'DateTime' = 'DateTime'
    'Environment' = 'Environment'; 'IO.Directory' = 'Directory'; 'IO.DriveInfo' = 'DriveInfo'; 'IO.DirectoryInfo' = 'DirectoryInfo'; 'IO.File' = 'File'; 'IO.FileInfo' = 'FileInfo'; 'IO.FileStream' = 'FileStream'
    'IO.Path' = 'Path'; 'Net.WebRequest' = 'WebRequest'; 'Security.Principal.WindowsIdentity' = 'Identity'
    'Security.Principal.WindowsPrincipal' = 'Principal'
}
$script:Tasks = @{}
$script:Session = $null

# Puts the machine's types and variables in place. Session: that of the desktop in the text of a scheduled task.
function Enter-Windows([int] $Session = -1) {
    $login = Get-Answer 'login'
    $script:Session = if ($Session -ge 0) { $Session } else { [int] $login.session }
    # a task has the desktop user's variables; the worker's own scripts use none that differ
    if ($login.desktop_home) { Microsoft.PowerShell.Management\Set-Item -LiteralPath 'Env:LOCALAPPDATA' -Value ($login.desktop_home + '\AppData\Local') }
    if ($Session -ge 0) { return }
    $domain, $user = $login.user.Split('\', 2)
    $variables = @{
        SystemRoot = 'C:\Windows'; windir = 'C:\Windows'; SystemDrive = 'C:'; ProgramFiles = 'C:\Program Files'; ProgramData = 'C:\ProgramData'
        USERPROFILE = $login.home; APPDATA = $login.home + '\AppData\Roaming'
        TEMP = $login.home + '\AppData\Local\Temp'; USERNAME = $user; USERDOMAIN = $domain; COMPUTERNAME = $login.machine; PROCESSOR_ARCHITECTURE = 'AMD64'
    }
    foreach ($entry in $variables.GetEnumerator()) { Microsoft.PowerShell.Management\Set-Item -LiteralPath ('Env:' + $entry.Key) -Value $entry.Value }
    # every runspace of this process looks here before it looks for a type of that name
    $table = [psobject].Assembly.GetType('System.Management.Automation.TypeAccelerators').GetField('builtinTypeAccelerators', 'NonPublic,Static').GetValue($null)
    foreach ($entry in $Replaced.GetEnumerator()) {
        $type = ('RemediationLab.Lab' + $entry.Value) -as [type]
        $table[$entry.Key] = $type
        $table['System.' + $entry.Key] = $type
    }
    if ($login.language_mode -ne 'FullLanguage') { $login.language_mode }
}

# Asks the machine. Where it refuses, the answer is nothing and $Refused says why.
function Get-Answer([string] $What, $Fields = @{}, [switch] $Change) {
    $script:Refused = $null
    $text = [RemediationLab.World]::Text($What, (ConvertTo-Json -Depth 10 -Compress -InputObject $Fields), [bool] $Change)
    $answer = ConvertFrom-Json -InputObject $text -AsHashtable -DateKind String
    $script:Refused = $answer.error
    $answer.value
}

function New-Record([Exception] $Exception, [string] $Id, [string] $Category, $Target) {
    [Management.Automation.ErrorRecord]::new($Exception, $Id, $Category, $Target)
}

# The record that Windows' command makes of the last refusal.
function New-Refusal($Cmdlet) {
    $name = $Cmdlet.MyInvocation.MyCommand.Name
    $words, $kind = $script:Refused.message, $script:Refused.kind
    if ($name -match 'Cim|ScheduledTask') {
        $code = @{ 'no-class' = '80041010'; 'not-found' = '80041002'; 'denied' = '80041003' }[$kind]
        if ($words -match '^(.*?) ?\(0x([0-9A-F]{8})\)$') { $words, $code = ($Matches[1] + ' '), $Matches[2] }
        $made = [Microsoft.Management.Infrastructure.CimException]::new($words)
        $category = if ($kind -eq 'not-found') { 'ObjectNotFound' } else { 'NotSpecified' }
        return New-Record $made ('HRESULT 0x' + $code + ',' + $name) $category $null
    }
    if ($name -eq 'Get-WSManInstance') { return New-Record ([InvalidOperationException]::new($words)) 'WsManError' 'InvalidOperation' $null }
    if ($kind -eq 'denied' -and $words -like '*registry*') {
        return New-Record ([Security.SecurityException]::new($words)) ('PermissionDenied,' + $name) 'PermissionDenied' $null
    }
    if ($kind -eq 'not-found') { return New-Record ([InvalidOperationException]::new($words)) ('NotFound,' + $name) 'ObjectNotFound' $null }
    $made = [RemediationLab.World]::Error([RemediationLab.Refusal]::new($kind, $words))
    New-Record $made ($kind + ',' + $name) $(if ($kind -eq 'denied') { 'PermissionDenied' } else { 'NotSpecified' }) $null
}

# Writes an error as a cmdlet does: the action that was requested, else the preference, decides whether it ends the caller.
function Write-Refusal($Cmdlet, $Record) {
    if ($Cmdlet.MyInvocation.BoundParameters.ContainsKey('ErrorAction')) { return $Cmdlet.WriteError($Record) }
    $action = if ($Cmdlet.MyInvocation.MyCommand.Name -like '*-ScheduledTask*') { $global:ErrorActionPreference }
    else { $Cmdlet.SessionState.PSVariable.GetValue('ErrorActionPreference') }
    if ([string] $action -eq 'Stop') { $Cmdlet.ThrowTerminatingError($Record) }
    if (@('SilentlyContinue', 'Ignore') -notcontains [string] $action) { $Cmdlet.WriteError($Record) }
}

function Write-Missing($Cmdlet, [string] $Words, [string] $Id, $Target) {
    Write-Refusal $Cmdlet (New-Record ([Management.Automation.ItemNotFoundException]::new($Words)) ($Id + ',' + $Cmdlet.MyInvocation.MyCommand.Name) 'ObjectNotFound' $Target)
}

function ConvertTo-Moment($Seconds) { if ($null -ne $Seconds) { [RemediationLab.World]::Moment([double] $Seconds).ToLocalTime() } }

# Classes. Numbers have the types of CIM: uint32 for processes and sessions, uint64 for amounts.
function ConvertTo-Instance($Row) {
    $made = New-Object PSObject
    foreach ($name in $Row.Keys) {
        $value = $Row[$name]
        if ($null -ne $value) {
            if ($name -like '*Date' -or $name -eq 'LastBootUpTime') { $value = ConvertTo-Moment $value }
            elseif ($name -match 'Id$') { $value = [uint32] $value }
            elseif ($value -isnot [string] -and $value -isnot [bool]) { $value = [uint64] $value }
        }
        $made.PSObject.Properties.Add([Management.Automation.PSNoteProperty]::new($name, $value))
    }
    $made
}

function Get-CimInstance {
    [CmdletBinding()]
    param([Parameter(Position = 0)] [string] $ClassName, [string] $Namespace, [string] $Filter, [string[]] $Property, [uint32] $OperationTimeoutSec)
    $rows = @(Get-Answer 'instances' @{ name = $ClassName; shell = $PID })
    if ($script:Refused) { return Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
    foreach ($row in $rows) {
        if ($null -eq $row) { continue }
        if ($Filter -match "^\s*(\w+)\s*=\s*'(.*)'\s*$" -and $row[$Matches[1]] -ne $Matches[2]) { continue }
        if ($Filter -match '^\s*(\w+)\s*=\s*(\d+)\s*$' -and $row[$Matches[1]] -ne [int64] $Matches[2]) { continue }
        if ($Filter -match '^\s*(\w+)\s*<>\s*(\d+)\s*$' -and $row[$Matches[1]] -eq [int64] $Matches[2]) { continue }
        $PSCmdlet.WriteObject((ConvertTo-Instance $row), $false)
    }
}
function Get-CimClass {
    [CmdletBinding()] param([string] $ClassName, [string] $Namespace, [uint32] $OperationTimeoutSec)
    $names = @(Get-Answer 'classes')
    if ($script:Refused) { return Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
    foreach ($name in $names) { if ($name -like $ClassName) { [pscustomobject] @{ CimClassName = $name; CimSuperClassName = 'Win32_PerfFormattedData' } } }
}
function Invoke-CimMethod {
    [CmdletBinding()] param($InputObject, [string] $MethodName, $Arguments, [uint32] $OperationTimeoutSec)
    $said = Get-Answer 'owner' @{ pid = [int64] $InputObject.ProcessId }
    if ($script:Refused) { return Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
    $answer = if ($MethodName -eq 'GetOwnerSid') { @{ ReturnValue = [uint32] $said.ReturnValue; Sid = $said.Sid } }
    else { @{ ReturnValue = [uint32] $said.ReturnValue; Domain = $said.Domain; User = $said.User } }
    [pscustomobject] $answer
}
function Get-WSManInstance {
    [CmdletBinding()] param([string] $ResourceURI)
    $text = Get-Answer 'wsman'
    if ($script:Refused) { return Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
    ([xml] $text).DocumentElement
}

# Services and processes
function Get-Service {
    [CmdletBinding()] param([Parameter(Position = 0)] [string[]] $Name)
    foreach ($one in $Name) {
        $state = Get-Answer 'service' @{ name = $one }
        if ($state) { [pscustomobject] @{ Name = $one; Status = $state; ServicesDependedOn = @(); DependentServices = @() } }
        else { Write-Missing $PSCmdlet "Cannot find any service with service name '$one'." 'NoServiceFoundForGivenName' $one }
    }
}
function Set-State($Cmdlet, [string] $Name, [string] $Action) {
    $null = Get-Answer 'service' @{ name = $Name; action = $Action } -Change
    if ($script:Refused) { Write-Refusal $Cmdlet (New-Refusal $Cmdlet) }
}
function Start-Service { [CmdletBinding()] param([string] $Name) Set-State $PSCmdlet $Name 'start' }
function Stop-Service { [CmdletBinding()] param([string] $Name, [switch] $Force) Set-State $PSCmdlet $Name 'stop' }
function Suspend-Service { [CmdletBinding()] param([string] $Name) Set-State $PSCmdlet $Name 'pause' }
function Get-Process {
    [CmdletBinding()] param([int[]] $Id, [string[]] $Name, [switch] $IncludeUserName)
    if ($IncludeUserName -and -not (Get-Answer 'login').elevated) {
        $words = "The 'IncludeUserName' parameter requires elevated user rights."
        $PSCmdlet.ThrowTerminatingError((New-Record ([InvalidOperationException]::new($words)) 'IncludeUserNameRequiresElevation,Get-Process' 'InvalidOperation' $null))
    }
    $rows = @(foreach ($each in @(Get-Answer 'windows' @{ session = $script:Session })) {
            if ($null -eq $each -or ($null -ne $Id -and $Id -notcontains $each.Id)) { continue }
            if ($null -ne $Name -and @($Name | Where-Object { $each.Name -like $_ }).Count -eq 0) { continue }
            $one = [pscustomobject] @{ Id = [int] $each.Id; ProcessName = $each.Name; SessionId = [int] $each.SessionId; MainWindowHandle = [IntPtr]::new([int64] $each.Handle) }
            if ($IncludeUserName) { Add-Member -InputObject $one -MemberType NoteProperty -Name UserName -Value $each.Owner }
            Add-Member -InputObject $one -MemberType ScriptMethod -Name CloseMainWindow -Value {
                if ($this.MainWindowHandle -eq [IntPtr]::Zero) { return $false }
                $null = [RemediationLab.World]::Text('close_window', '{"pid":' + $this.Id + '}', $true)
                $true
            }
            $one
        })
    foreach ($number in $Id) {
        if (@($rows | Where-Object { $_.Id -eq $number }).Count -eq 0) {
            Write-Missing $PSCmdlet "Cannot find a process with the process identifier $number." 'NoProcessFoundForGivenId' $number
        }
    }
    $rows
}
function Stop-Process {
    [CmdletBinding()] param([int[]] $Id, [switch] $Force, [switch] $PassThru)
    foreach ($number in $Id) {
        $null = Get-Answer 'stop' @{ pid = $number } -Change
        if ($script:Refused) { Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
    }
}
function Start-Process {
    [CmdletBinding()] param([Parameter(Position = 0)] [string] $FilePath, $ArgumentList, $WindowStyle, [string] $WorkingDirectory, [switch] $PassThru)
    $null = Get-Answer 'start' @{ path = $FilePath; arguments = (@($ArgumentList) -join ' ') } -Change
    if ($script:Refused) { Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
}
function Start-Sleep {
    [CmdletBinding()] param([Parameter(Position = 0)] [double] $Seconds, [int] $Milliseconds)
    $all = if ($Milliseconds) { $Milliseconds / 1000 } else { $Seconds }
    $null = Get-Answer 'sleep' @{ seconds = $all }
}

# The task scheduler. A task runs beside the script that started it, also after it was removed, and ends with this process. The machine
# says how long it takes until a task does its work, or with which code it ends instead.
function New-ScheduledTaskAction {
    [CmdletBinding()] param([string] $Execute, [string] $Argument, [string] $WorkingDirectory)
    [pscustomobject] @{ Execute = $Execute; Arguments = $Argument }
}
function New-ScheduledTaskPrincipal {
    [CmdletBinding()] param([string] $UserId, [string] $GroupId, [string] $LogonType, [string] $RunLevel)
    [pscustomobject] @{ UserId = $UserId; LogonType = $LogonType; RunLevel = $RunLevel }
}
function New-ScheduledTaskSettingsSet {
    [CmdletBinding()] param([switch] $AllowStartIfOnBatteries, [switch] $DontStopIfGoingOnBatteries, [switch] $Hidden, [int] $Priority, [timespan] $ExecutionTimeLimit)
    [pscustomobject] @{ Priority = $Priority; ExecutionTimeLimit = $ExecutionTimeLimit }
}
function Register-ScheduledTask {
    [CmdletBinding()] param([string] $TaskName, [string] $TaskPath, $Action, $Principal, $Settings, $Trigger, [switch] $Force)
    $null = Get-Answer 'register' -Change
    if ($script:Refused) { return Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
    $script:Tasks[$TaskName] = @{ action = $Action; code = [uint32] 267011; queued = $false; run = $null }
    [pscustomobject] @{ TaskName = $TaskName; State = 'Ready' }
}
$Beside = {
    param($Module, $Seconds, $Text)
    Import-Module $Module -DisableNameChecking -Global
    Enter-Windows 1
    if ($Seconds -gt 0) { Start-Sleep -Seconds $Seconds }
    & ([ScriptBlock]::Create($Text))
}
function Start-Beside($Task, [double] $Seconds) {
    $text = [Text.Encoding]::Unicode.GetString([Convert]::FromBase64String(($Task.action.Arguments -split ' ')[-1]))
    $made = [RemediationLab.TaskHost]::new()
    $shell = [PowerShell]::Create()
    $shell.Runspace = [RunspaceFactory]::CreateRunspace($made)
    $shell.Runspace.Open()
    $null = $shell.AddScript($Beside.ToString()).AddArgument($PSCommandPath).AddArgument($Seconds).AddArgument($text)
    $Task.run = @{ host = $made; running = $shell.BeginInvoke() }
}
# What the scheduler says of a task now.
function Get-TaskCode($Task) {
    if ($null -eq $Task.run) { return $Task.code }
    if ($Task.run.running.IsCompleted) { return [uint32] ([int64] $Task.run.host.Code -band 4294967295) }
    [uint32] $(if ($Task.queued) { 267045 } else { 267009 })
}
function Find-Task($Cmdlet, [string] $TaskName) {
    $task = $script:Tasks[$TaskName]
    if ($null -ne $task) { return $task }
    $made = [Microsoft.Management.Infrastructure.CimException]::new('The system cannot find the file specified. ')
    Write-Refusal $Cmdlet (New-Record $made ('HRESULT 0x80070002,' + $Cmdlet.MyInvocation.MyCommand.Name) 'ObjectNotFound' $TaskName)
}
function Start-ScheduledTask {
    [CmdletBinding()] param([string] $TaskName, [string] $TaskPath)
    $task = Find-Task $PSCmdlet $TaskName
    if ($null -eq $task) { return }
    $settings = Get-Answer 'task'
    $task.queued = [bool] $settings.queued
    if ($settings.code) { $task.code = [uint32] $settings.code }
    else { Start-Beside $task $settings.seconds }
}
function Get-ScheduledTaskInfo {
    [CmdletBinding()] param([string] $TaskName, [string] $TaskPath)
    $task = Find-Task $PSCmdlet $TaskName
    if ($null -ne $task) { [pscustomobject] @{ TaskName = $TaskName; LastTaskResult = Get-TaskCode $task; NumberOfMissedRuns = [uint32] 0 } }
}
function Unregister-ScheduledTask {
    [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')] param([string] $TaskName, [string] $TaskPath)
    $task = Find-Task $PSCmdlet $TaskName
    if ($null -eq $task) { return }
    $script:Tasks.Remove($TaskName)
}

# The registry and files
function Test-RegistryPath([string] $Path) { $Path -match '^(HKLM:|HKCU:|Registry::)' }
function Join-Path {
    [CmdletBinding()] param([Parameter(Position = 0)] [string] $Path, [Parameter(Position = 1)] [string] $ChildPath)
    $Path.TrimEnd('\', '/') + '\' + $ChildPath.TrimStart('\', '/')
}
function Test-Path {
    [CmdletBinding()] param([Parameter(Position = 0)] [string] $Path, [string] $LiteralPath, [string] $PathType = 'Any')
    $place = if ($LiteralPath) { $LiteralPath } else { $Path }
    $registry = Test-RegistryPath $place
    $found = if ($registry) { Get-Answer 'key' @{ path = $place } } else { Get-Answer 'stat' @{ path = $place; session = $script:Session } }
    if (-not $script:Refused -and $found.closed) { $script:Refused = @{ kind = 'denied'; message = "Access to the path '$place' is denied." } }
    if ($script:Refused) { return Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
    if ($registry) { return $null -ne $found }
    $null -ne $found.kind -and @('Any', $(if ($found.kind -eq 'file') { 'Leaf' } else { 'Container' })) -contains $PathType
}
function New-Entry([string] $Folder, $Row) {
    [pscustomobject] @{
        Name = $Row.Name; FullName = Join-Path $Folder $Row.Name; PSIsContainer = [bool] $Row.Folder; Length = [int64] $Row.Length; LastWriteTime = ConvertTo-Moment $Row.Modified
    }
}
function New-Key([string] $Path, $Values) {
    $key = [pscustomobject] @{ Name = $Path -replace '^Registry::'; PSChildName = ($Path -split '\\')[-1]; PSPath = $Path; Values = $Values }
    Add-Member -InputObject $key -MemberType ScriptMethod -Name GetValueNames -Value { @($this.Values.Keys) }
    Add-Member -InputObject $key -MemberType ScriptMethod -Name GetValueKind -Value { param($Name) if ($this.Values[$Name] -is [int64]) { 'DWord' } else { 'String' } }
    Add-Member -InputObject $key -MemberType ScriptMethod -Name GetValue -Value {
        param($Name, $Default, $Options)
        $value = $this.Values[$Name]
        if ($value -is [int64]) { [int] $value } else { $value }
    }
    $key
}
function Get-ChildItem {
    [CmdletBinding()] param([Parameter(Position = 0)] [string] $Path, [string] $LiteralPath, [switch] $Force)
    $place = if ($LiteralPath) { $LiteralPath } else { $Path }
    $registry = Test-RegistryPath $place
    $key = if ($registry) { Get-Answer 'key' @{ path = $place } } else { Get-Answer 'list' @{ path = $place } }
    if ($script:Refused) { return Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
    if (-not $registry) { return @($key) | Where-Object { $_ } | ForEach-Object { New-Entry $place $_ } }
    if ($null -eq $key) { return Write-Missing $PSCmdlet "Cannot find path '$place' because it does not exist." 'PathNotFound' $place }
    foreach ($name in @($key.keys)) {
        $below = Get-Answer 'key' @{ path = $place + '\' + $name }
        # the provider does not list a key that it may not open
        if ($script:Refused) { Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet); continue }
        New-Key ($place + '\' + $name) $below.values
    }
}
function Get-ItemProperty {
    [CmdletBinding()] param([string] $LiteralPath, [string] $Name)
    $key = Get-Answer 'key' @{ path = $LiteralPath }
    if ($script:Refused) { return Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
    if ($null -eq $key) { return Write-Missing $PSCmdlet "Cannot find path '$LiteralPath' because it does not exist." 'PathNotFound' $LiteralPath }
    [pscustomobject] $key.values
}
function Get-Item {
    [CmdletBinding()] param([Parameter(Position = 0)] [string] $Path, [string] $LiteralPath, [switch] $Force)
    $place = if ($LiteralPath) { $LiteralPath } else { $Path }
    $registry = Test-RegistryPath $place
    $found = if ($registry) { Get-Answer 'key' @{ path = $place } } else { Get-Answer 'stat' @{ path = $place } }
    if ($script:Refused) { return Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
    if ($registry -and $null -ne $found) { return New-Key $place $found.values }
    if ($null -eq $found.kind) { return Write-Missing $PSCmdlet "Cannot find path '$place' because it does not exist." 'PathNotFound' $place }
    [pscustomobject] @{
        Name = ($place -split '\\')[-1]; FullName = $place; PSIsContainer = $found.kind -eq 'folder'; Length = [int64] $found.size; LastWriteTime = ConvertTo-Moment $found.modified
        VersionInfo = [pscustomobject] @{ ProductVersion = $found.version }
    }
}
function Get-Acl {
    [CmdletBinding()] param([string] $LiteralPath)
    $found = Get-Answer 'stat' @{ path = $LiteralPath }
    if ($script:Refused) { return Write-Refusal $PSCmdlet (New-Refusal $PSCmdlet) }
    [pscustomobject] @{ Owner = $found.owner }
}
# No program of the machine is on PATH but those of System32.
function Get-Command {
    [CmdletBinding()] param([Parameter(Position = 0)] [string[]] $Name, $CommandType)
    if ([string] $CommandType -ne 'Application') { return Microsoft.PowerShell.Core\Get-Command @PSBoundParameters }
    foreach ($one in $Name) {
        $place = 'C:\Windows\System32\' + $one
        if ((Get-Answer 'stat' @{ path = $place }).kind -eq 'file') { [pscustomobject] @{ Name = $one; Path = $place; CommandType = 'Application' } }
        else { Write-Missing $PSCmdlet "The term '$one' is not recognized as a name of a cmdlet, function, script file, or executable program." 'CommandNotFoundException' $one }
    }
}
function New-Object {
    [CmdletBinding()]
    param([Parameter(Position = 0)] [string] $TypeName, [Parameter(Position = 1)] [object[]] $ArgumentList, [string] $ComObject, $Property)
    if (-not $ComObject) { return $PSCmdlet.WriteObject((Microsoft.PowerShell.Utility\New-Object @PSBoundParameters), $false) }
    $made = [pscustomobject] @{ Name = $ComObject }
    Add-Member -InputObject $made -MemberType ScriptMethod -Name Popup -Value {
        param($Text, $Seconds)
        $null = [RemediationLab.World]::Text('message', (ConvertTo-Json -Compress -InputObject @{ text = $Text }), $true)
        Start-Sleep -Seconds $Seconds
        -1
    }
    $made
}

Export-ModuleMember -Function Enter-Windows, *-Cim*, *-ScheduledTask*, *-Process, Get-WSManInstance, *-Service, Start-Sleep, Join-Path, Test-Path, Get-ChildItem, Get-Item, Get-ItemProperty, Get-Acl, Get-Command, New-Object
