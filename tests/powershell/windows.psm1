# Commands that only Windows has, and those whose failures a probe must survive, for PowerShell on other systems. They answer from a JSON
# file (REMEDIATION_WINDOWS, written by windows.py) with objects of the types that Windows uses, and misbehave as that file says.
# Windows' binary cmdlets obey the caller's $ErrorActionPreference; the functions of its ScheduledTasks module see the global one alone.

if (-not ('StandIn.State' -as [type])) {
    if (-not [IO.File]::Exists($env:REMEDIATION_WINDOWS_TYPES)) {
        $fresh = $env:REMEDIATION_WINDOWS_TYPES + '.' + $PID
        Microsoft.PowerShell.Utility\Add-Type -Path (Microsoft.PowerShell.Management\Join-Path $PSScriptRoot 'windows.cs') -OutputAssembly $fresh
        [IO.File]::Move($fresh, $env:REMEDIATION_WINDOWS_TYPES, $true)
    }
    Microsoft.PowerShell.Utility\Add-Type -Path $env:REMEDIATION_WINDOWS_TYPES
}

$script:World = $null
$script:Tasks = @{}
$script:TaskRunspace = $null
$DENIED = 'HRESULT 0x80070005'
$NOT_FOUND = 'HRESULT 0x80041002'

function Initialize-Windows([switch] $Task) {
    $script:World = Microsoft.PowerShell.Management\Get-Content -LiteralPath $env:REMEDIATION_WINDOWS -Raw | ConvertFrom-Json -AsHashtable -DateKind String
    if ($Task) { return }
    $script:Tasks = @{}
    [StandIn.State]::Reset()
    [StandIn.State]::Login = $World.login
    [StandIn.State]::LoginSid = $World.login_sid
    [StandIn.State]::Elevated = $World.elevated
    [StandIn.Clock]::Rate = $World.rate
    foreach ($entry in $World.environment.GetEnumerator()) { [Environment]::SetEnvironmentVariable($entry.Key, $entry.Value) }
    foreach ($each in @($World.disturbed)) {
        $one = [StandIn.Disturbance]::new()
        foreach ($entry in $each.GetEnumerator()) { $one.($entry.Key) = $entry.Value }
        [StandIn.State]::Disturbed.Add($one)
    }
}

# What a run leaves behind and what it called, for the tests.
function Get-WindowsState {
    @{ tasks = @($script:Tasks.Keys); calls = @([StandIn.State]::Calls.ToArray()); waited = [StandIn.Clock]::Passed }
}

function New-Record([Exception] $Exception, [string] $Id, [string] $Category, $Target) {
    [Management.Automation.ErrorRecord]::new($Exception, $Id, $Category, $Target)
}
function New-CimRecord([string] $Message, [string] $Code) {
    New-Record ([Microsoft.Management.Infrastructure.CimException]::new($Message)) $Code 'NotSpecified' $null
}

# Write an error as a cmdlet does: the action that was asked for, else the preference, decides whether it ends the caller.
function Write-Refusal($Cmdlet, $Record) {
    # with -ErrorAction and -ErrorVariable, PowerShell does it all
    if ($Cmdlet.MyInvocation.BoundParameters.ContainsKey('ErrorAction')) { return $Cmdlet.WriteError($Record) }
    $action = if ($Cmdlet.MyInvocation.MyCommand.Name -like '*-ScheduledTask*') { $global:ErrorActionPreference }
    else { $Cmdlet.SessionState.PSVariable.GetValue('ErrorActionPreference') }
    if ([string] $action -eq 'Stop') { $Cmdlet.ThrowTerminatingError($Record) }
    if (@('SilentlyContinue', 'Ignore') -notcontains [string] $action) { $Cmdlet.WriteError($Record) }
}

function New-Denied($Cmdlet, [string] $Message, [string] $Code) {
    $name = $Cmdlet.MyInvocation.MyCommand.Name
    $words = if ($Message) { $Message } else { 'Access is denied. ' }
    if ($name -match 'Cim|ScheduledTask') {
        $id = if ($Code) { 'HRESULT ' + $Code } else { $DENIED }
        return New-CimRecord $words ($id + ',' + $name)
    }
    if ($name -eq 'Get-WSManInstance') { return New-Record ([InvalidOperationException]::new($words)) 'WsManError' 'InvalidOperation' $null }
    New-Record ([UnauthorizedAccessException]::new($words)) ('UnauthorizedAccess,' + $name) 'PermissionDenied' $null
}
function New-NotFound($Cmdlet) {
    $name = $Cmdlet.MyInvocation.MyCommand.Name
    if ($name -match 'ScheduledTask') { return New-CimRecord 'The system cannot find the file specified. ' ('HRESULT 0x80070002,' + $name) }
    if ($name -match 'Cim') { return New-CimRecord 'Not found ' ($NOT_FOUND + ',' + $name) }
    New-Record ([Management.Automation.ItemNotFoundException]::new('Cannot find path because it does not exist.')) ('PathNotFound,' + $name) 'ObjectNotFound' $null
}

# Decide how a call behaves. Returns 'stop' where it was refused without an end, 'nothing', 'null', 'one', 'many' or 'usual'.
function Enter-Call($Cmdlet, [double] $Limit = 0) {
    $invocation = $Cmdlet.MyInvocation
    $words = @($invocation.BoundParameters.Values | ForEach-Object { [string] $_ }) -join ' '
    $found = [StandIn.State]::Find($invocation.MyCommand.Name, $words, $invocation.Line)
    if ($null -eq $found) { return 'usual' }
    switch ($found.How) {
        'refused' { Write-Refusal $Cmdlet (New-Denied $Cmdlet $found.Message $found.Code); return 'stop' }
        'gone' { Write-Refusal $Cmdlet (New-NotFound $Cmdlet); return 'stop' }
        'vanishing' {
            if ($found.Calls -eq 1) { return 'vanishing' }
            Write-Refusal $Cmdlet (New-NotFound $Cmdlet)
            return 'stop'
        }
        'slow' {
            $seconds = if ($found.Seconds) { $found.Seconds } else { 600 }
            if ($Limit -gt 0 -and $Limit -lt $seconds) {
                [StandIn.Clock]::Pass($Limit)
                Write-Refusal $Cmdlet (New-CimRecord 'Timed out ' ('HRESULT 0x40004,' + $invocation.MyCommand.Name))
                return 'stop'
            }
            [StandIn.Clock]::Pass($seconds)
            return 'usual'
        }
        'empty' { return 'nothing' }
    }
    $found.How
}

# Emit what a command usually answers, changed as was decided; Forget makes one object vanish after it was answered.
function Write-Answer($Cmdlet, [string] $How, $Rows, [ScriptBlock] $Forget) {
    $all = @($Rows)
    switch ($How) {
        'nothing' { return }
        'null' {
            foreach ($row in $all) {
                if ($row -isnot [Management.Automation.PSCustomObject]) { $Cmdlet.WriteObject($null); continue }
                $copy = $row.PSObject.Copy()
                foreach ($property in @($copy.PSObject.Properties)) { if ($property.MemberType -eq 'NoteProperty') { $copy.($property.Name) = $null } }
                $Cmdlet.WriteObject($copy)
            }
            return
        }
        'one' { $all = @($all | Select-Object -First 1) }
        'many' { $all = @(foreach ($time in 1..3) { $all }) }
    }
    foreach ($row in $all) { $Cmdlet.WriteObject($row, $false) }
    if ($How -eq 'vanishing' -and $null -ne $Forget) { foreach ($row in $all) { & $Forget $row } }
}

function ConvertTo-Moment($Seconds) {
    if ($null -eq $Seconds) { return $null }
    [DateTime]::new(621355968000000000 + [int64] ([Math]::Round([double] $Seconds * 1000000)) * 10, [DateTimeKind]::Utc).ToLocalTime()
}
function Test-Gone($Id) { [StandIn.State]::Gone.ContainsKey([string] $Id) -or [IO.File]::Exists($World.ended + '/' + $Id) }
function Set-Gone($Id) { [StandIn.State]::Gone[[string] $Id] = $true }
function Get-Known($Id) {
    foreach ($each in @($World.processes)) { if ($each.ProcessId -eq $Id -and -not (Test-Gone $Id)) { return $each } }
}
function ConvertTo-Whole($Value) { if ($null -ne $Value) { [uint64] $Value } }

function Get-Rows([string] $Class, [string] $Filter) {
    switch -Wildcard ($Class) {
        'Win32_Process' {
            foreach ($each in @($World.processes)) {
                if (Test-Gone $each.ProcessId) { continue }
                if ($Filter -match "^\s*Name\s*=\s*'(.*)'\s*$" -and $each.Name -ne $Matches[1]) { continue }
                if ($Filter -match '^\s*ProcessId\s*=\s*(\d+)\s*$' -and [int64] $each.ProcessId -ne [int64] $Matches[1]) { continue }
                [pscustomobject] @{
                    Name = $each.Name; ProcessId = [uint32] $each.ProcessId; ParentProcessId = [uint32] $each.ParentProcessId
                    SessionId = [uint32] $each.SessionId; ExecutablePath = $each.ExecutablePath; CreationDate = ConvertTo-Moment $each.CreationDate
                    Handle = [string] $each.ProcessId; CommandLine = $each.CommandLine; PSComputerName = $null
                }
            }
        }
        'Win32_Service' { foreach ($each in @($World.services)) { [pscustomobject] @{ Name = [string] $each.Name; ProcessId = [uint32] $each.ProcessId } } }
        'Win32_ComputerSystem' { [pscustomobject] @{ UserName = $World.console; Name = 'DEV-07' } }
        'Win32_OperatingSystem' {
            $system = $World.system
            [pscustomobject] @{
                Caption = $system.Caption; Version = $system.Version; CSName = $system.CSName
                TotalVisibleMemorySize = ConvertTo-Whole $system.TotalVisibleMemorySize
                FreePhysicalMemory = ConvertTo-Whole $system.FreePhysicalMemory; LastBootUpTime = ConvertTo-Moment $system.LastBootUpTime
            }
        }
        '*_GPUProcessMemory' {
            foreach ($each in @($World.process_memory)) {
                [pscustomobject] @{
                    Name = $each.Name; LocalUsage = ConvertTo-Whole $each.LocalUsage; NonLocalUsage = ConvertTo-Whole $each.NonLocalUsage
                    DedicatedUsage = ConvertTo-Whole $each.DedicatedUsage; SharedUsage = ConvertTo-Whole $each.SharedUsage
                }
            }
        }
        '*_GPUAdapterMemory' {
            foreach ($each in @($World.adapter_memory)) {
                [pscustomobject] @{ Name = $each.Name; DedicatedUsage = ConvertTo-Whole $each.DedicatedUsage; SharedUsage = ConvertTo-Whole $each.SharedUsage }
            }
        }
        '*_PerfOS_Processor' { [pscustomobject] @{ Name = '_Total'; PercentProcessorTime = [uint64] 12 } }
        default { throw [Microsoft.Management.Infrastructure.CimException]::new('Invalid class ') }
    }
}

function Get-CimInstance {
    [CmdletBinding()]
    param([Parameter(Position = 0)] [string] $ClassName, [string] $Namespace, [string] $Filter, [string[]] $Property, [uint32] $OperationTimeoutSec)
    $how = Enter-Call $PSCmdlet $OperationTimeoutSec
    if ($how -eq 'stop') { return }
    try { $rows = @(Get-Rows $ClassName $Filter) }
    catch { return Write-Refusal $PSCmdlet (New-CimRecord 'Invalid class ' 'HRESULT 0x80041010,Get-CimInstance') }
    Write-Answer $PSCmdlet $how $rows { param($Row) if ($null -ne $Row.ProcessId) { Set-Gone $Row.ProcessId } }
}

function Invoke-CimMethod {
    [CmdletBinding()] param($InputObject, [string] $MethodName, $Arguments, [uint32] $OperationTimeoutSec)
    $how = Enter-Call $PSCmdlet $OperationTimeoutSec
    if ($how -eq 'stop') { return }
    $each = Get-Known $InputObject.ProcessId
    if ($null -eq $each) { return Write-Refusal $PSCmdlet (New-NotFound $PSCmdlet) }
    $answer = if ($MethodName -eq 'Terminate') {
        [IO.File]::WriteAllText($World.ended + '/' + $each.ProcessId, 'ended')
        [pscustomobject] @{ ReturnValue = [uint32] 0; PSComputerName = $null }
    }
    elseif (-not $each.Owner) { [pscustomobject] @{ ReturnValue = [uint32] 2; Domain = $null; User = $null; Sid = $null; PSComputerName = $null } }
    elseif ($MethodName -eq 'GetOwnerSid') { [pscustomobject] @{ ReturnValue = [uint32] 0; Sid = $each.Sid; PSComputerName = $null } }
    else {
        $domain, $user = ([string] $each.Owner).Split('\', 2)
        [pscustomobject] @{ ReturnValue = [uint32] 0; Domain = $domain; User = $user; PSComputerName = $null }
    }
    Write-Answer $PSCmdlet $how $answer { Set-Gone $InputObject.ProcessId }
}

function Get-CimClass {
    [CmdletBinding()] param([string] $ClassName, [string] $Namespace, [uint32] $OperationTimeoutSec)
    $how = Enter-Call $PSCmdlet $OperationTimeoutSec
    if ($how -eq 'stop') { return }
    $rows = foreach ($each in @($World.classes)) { if ($each -like $ClassName) { [pscustomobject] @{ CimClassName = $each; CimSuperClassName = 'Win32_PerfFormattedData' } } }
    Write-Answer $PSCmdlet $how $rows
}

function Get-WSManInstance {
    [CmdletBinding()] param([string] $ResourceURI)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    Write-Answer $PSCmdlet $how ([xml] $World.wsman).DocumentElement
}

function Get-Service {
    [CmdletBinding()] param([Parameter(Position = 0)] [string[]] $Name)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    foreach ($one in $Name) {
        $there = @(@($World.wsl) | Where-Object { $_ -and $_.Name -eq $one })
        if ($there.Count -gt 0) { Write-Answer $PSCmdlet $how ([pscustomobject] @{ Name = $one; Status = [ServiceProcess]::($there[0].Status) }) }
        elseif ($how -ne 'nothing' -and $one -notmatch '[*?]') {
            $missing = [Exception]::new("Cannot find any service with service name '$one'.")
            Write-Refusal $PSCmdlet (New-Record $missing 'NoServiceFoundForGivenName,Get-Service' 'ObjectNotFound' $one)
        }
    }
}
enum ServiceProcess { Stopped = 1; StartPending = 2; StopPending = 3; Running = 4 }

function Get-Process {
    [CmdletBinding()] param([int[]] $Id, [string[]] $Name, [switch] $IncludeUserName)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    if ($IncludeUserName -and -not $World.elevated) {
        $PSCmdlet.ThrowTerminatingError((New-Record ([InvalidOperationException]::new("The 'IncludeUserName' parameter requires elevated user rights.")) 'IncludeUserNameRequiresElevation,Get-Process' 'InvalidOperation' $null))
    }
    $rows = foreach ($each in @($World.processes)) {
        if (Test-Gone $each.ProcessId) { continue }
        if ($null -ne $Id -and $Id -notcontains $each.ProcessId) { continue }
        if ($null -ne $Name -and @($Name | Where-Object { $each.Name -like ($_ + '.exe') }).Count -eq 0) { continue }
        $one = [pscustomobject] @{
            Id = [int] $each.ProcessId; ProcessName = $each.Name -replace '\.exe$'; SessionId = [int] $each.SessionId
            MainWindowHandle = [IntPtr]::new([int64] $each.window); Closes = [bool] $each.closes; Ended = $World.ended
        }
        if ($IncludeUserName) { Add-Member -InputObject $one -MemberType NoteProperty -Name UserName -Value $each.Owner }
        Add-Member -InputObject $one -MemberType ScriptMethod -Name CloseMainWindow -Value {
            if ($null -eq $this.MainWindowHandle -or $this.MainWindowHandle -eq [IntPtr]::Zero) { return $false }
            if ($this.Closes) { [IO.File]::WriteAllText($this.Ended + '/' + $this.Id, 'closed') }
            $true
        }
        $one
    }
    foreach ($number in @($Id)) {
        if ($how -eq 'nothing' -or $null -eq $number -or @($rows | Where-Object { $_.Id -eq $number }).Count -gt 0) { continue }
        $missing = [Exception]::new("Cannot find a process with the process identifier $number.")
        Write-Refusal $PSCmdlet (New-Record $missing 'NoProcessFoundForGivenId,Get-Process' 'ObjectNotFound' $number)
    }
    Write-Answer $PSCmdlet $how $rows { param($Row) Set-Gone $Row.Id }
}

function Stop-Process {
    [CmdletBinding()] param([int[]] $Id, [switch] $Force, [switch] $PassThru)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    foreach ($number in $Id) {
        if ($null -eq (Get-Known $number)) {
            $missing = [Exception]::new("Cannot find a process with the process identifier $number.")
            Write-Refusal $PSCmdlet (New-Record $missing 'NoProcessFoundForGivenId,Stop-Process' 'ObjectNotFound' $number)
            continue
        }
        [IO.File]::WriteAllText($World.ended + '/' + $number, 'killed')
    }
}

# The task scheduler. What a task does is done once its time has come: world.task says how long it runs, or with which code it ends instead.
function New-ScheduledTaskAction {
    [CmdletBinding()] param([string] $Execute, [string] $Argument, [string] $WorkingDirectory)
    $how = Enter-Call $PSCmdlet
    if ($how -ne 'stop') { Write-Answer $PSCmdlet $how ([pscustomobject] @{ Execute = $Execute; Arguments = $Argument }) }
}
function New-ScheduledTaskPrincipal {
    [CmdletBinding()] param([string] $UserId, [string] $GroupId, [string] $LogonType, [string] $RunLevel)
    $how = Enter-Call $PSCmdlet
    if ($how -ne 'stop') { Write-Answer $PSCmdlet $how ([pscustomobject] @{ UserId = $UserId; LogonType = $LogonType; RunLevel = $RunLevel }) }
}
function New-ScheduledTaskSettingsSet {
    [CmdletBinding()] param([switch] $AllowStartIfOnBatteries, [switch] $DontStopIfGoingOnBatteries, [switch] $Hidden, [int] $Priority, [timespan] $ExecutionTimeLimit)
    $how = Enter-Call $PSCmdlet
    if ($how -ne 'stop') { Write-Answer $PSCmdlet $how ([pscustomobject] @{ Priority = $Priority; ExecutionTimeLimit = $ExecutionTimeLimit }) }
}
function Register-ScheduledTask {
    [CmdletBinding()] param([string] $TaskName, [string] $TaskPath, $Action, $Principal, $Settings, $Trigger, [switch] $Force)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop' -or $how -eq 'nothing' -or $how -eq 'null') { return }
    if ($null -eq $Action.Execute -or $null -eq $Principal.UserId) {
        return Write-Refusal $PSCmdlet (New-CimRecord 'The parameter is incorrect. ' 'HRESULT 0x80070057,Register-ScheduledTask')
    }
    $script:Tasks[$TaskName] = @{ action = $Action; principal = $Principal; at = $null; code = [uint32] 267011; done = $false }
    Write-Answer $PSCmdlet $how ([pscustomobject] @{ TaskName = $TaskName; State = 'Ready' }) { param($Row) $script:Tasks.Remove($Row.TaskName) }
}

function Invoke-Task($Task) {
    $Task.done = $true
    $settings = $World.task
    if ($null -ne $settings.code) { $Task.code = [uint32] $settings.code; return }
    $text = [Text.Encoding]::Unicode.GetString([Convert]::FromBase64String(($Task.action.Arguments -split ' ')[-1]))
    if ($null -eq $script:TaskRunspace) {
        $script:TaskHost = [StandIn.TaskHost]::new()
        $script:TaskRunspace = [RunspaceFactory]::CreateRunspace($script:TaskHost)
        $script:TaskRunspace.Open()
    }
    $script:TaskHost.Code = 0
    $script:TaskRunspace.ResetRunspaceState()
    $shell = [PowerShell]::Create()
    $shell.Runspace = $script:TaskRunspace
    try {
        $null = $shell.AddScript("Import-Module '" + $PSCommandPath + "' -DisableNameChecking -Global; Initialize-Windows -Task").Invoke()
        $shell.Commands.Clear()
        try { $null = $shell.AddScript($text).Invoke() }
        catch { $script:TaskHost.Code = 1 }
        $Task.code = [uint32] ([int64] $script:TaskHost.Code -band 4294967295)
    }
    finally { $shell.Dispose() }
}
function Step-Tasks {
    foreach ($task in @($script:Tasks.Values)) {
        if ($null -eq $task.at -or $task.done) { continue }
        if ([StandIn.Clock]::Now -ge $task.at + [double] $World.task.seconds) { Invoke-Task $task }
    }
}
function Get-Task($Cmdlet, [string] $TaskName) {
    $task = $script:Tasks[$TaskName]
    if ($null -eq $task) { Write-Refusal $Cmdlet (New-NotFound $Cmdlet) }
    $task
}
function Start-ScheduledTask {
    [CmdletBinding()] param([string] $TaskName, [string] $TaskPath)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    $task = Get-Task $PSCmdlet $TaskName
    if ($null -eq $task) { return }
    $task.at = [StandIn.Clock]::Now
    $task.code = [uint32] 267009
    Step-Tasks
    if ($how -eq 'vanishing') { $script:Tasks.Remove($TaskName) }
}
function Get-ScheduledTaskInfo {
    [CmdletBinding()] param([string] $TaskName, [string] $TaskPath)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    Step-Tasks
    $task = Get-Task $PSCmdlet $TaskName
    if ($null -eq $task) { return }
    $row = [pscustomobject] @{ TaskName = $TaskName; LastTaskResult = [uint32] $task.code; LastRunTime = [DateTime]::Now; NumberOfMissedRuns = [uint32] 0 }
    Write-Answer $PSCmdlet $how $row { $script:Tasks.Remove($TaskName) }
}
function Get-ScheduledTask {
    [CmdletBinding()] param([string] $TaskName, [string] $TaskPath)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    Step-Tasks
    $task = Get-Task $PSCmdlet $TaskName
    if ($null -eq $task) { return }
    $state = if ($null -ne $task.at -and -not $task.done) { 'Running' } else { 'Ready' }
    Write-Answer $PSCmdlet $how ([pscustomobject] @{ TaskName = $TaskName; State = $state }) { $script:Tasks.Remove($TaskName) }
}
function Stop-ScheduledTask {
    [CmdletBinding()] param([string] $TaskName, [string] $TaskPath)
    if ((Enter-Call $PSCmdlet) -eq 'stop') { return }
    $task = Get-Task $PSCmdlet $TaskName
    if ($null -ne $task -and -not $task.done) { $task.done = $true; $task.code = [uint32] 267014 }
}
function Unregister-ScheduledTask {
    [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')] param([string] $TaskName, [string] $TaskPath)
    if ((Enter-Call $PSCmdlet) -eq 'stop') { return }
    if ($null -ne (Get-Task $PSCmdlet $TaskName)) { $script:Tasks.Remove($TaskName) }
}

# The registry; files are the real ones, below the folders that the environment names.
function Test-RegistryPath([string] $Path) { $Path -match '^(HKLM:|HKCU:|HKU:|Registry::|Microsoft\.PowerShell\.Core\\Registry::)' }
function Test-RegistryKey([string] $Path) { $World.registry.Contains($Path) -and -not (Test-Gone $Path) }
function New-Key([string] $Path) {
    $key = [pscustomobject] @{ Name = $Path -replace '^Registry::'; PSChildName = ($Path -split '\\')[-1]; PSPath = $Path; Values = $World.registry[$Path] }
    Add-Member -InputObject $key -MemberType ScriptMethod -Name GetValue -Value { param($Name) if ($null -ne $this.Values) { $this.Values[$Name] } }
    Add-Member -InputObject $key -MemberType ScriptMethod -Name GetValueNames -Value { @($this.Values.Keys) }
    Add-Member -InputObject $key -MemberType ScriptMethod -Name GetValueKind -Value {
        param($Name)
        $value = $this.Values[$Name]
        if ($value -is [array]) { 'MultiString' } elseif ([string] $value -match '%\w+%') { 'ExpandString' } else { 'String' }
    }
    $key
}

function Test-Path {
    [CmdletBinding()] param([Parameter(Position = 0)] [string[]] $Path, [string] $LiteralPath, $PathType)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    $place = if ($LiteralPath) { $LiteralPath } else { [string] $Path }
    if (Test-RegistryPath $place) {
        return Write-Answer $PSCmdlet $how (Test-RegistryKey $place) { Set-Gone $place }
    }
    $there = Microsoft.PowerShell.Management\Test-Path @PSBoundParameters
    Write-Answer $PSCmdlet $how $there { if ([IO.File]::Exists($place)) { [IO.File]::Delete($place) } }
}
function Get-ItemProperty {
    [CmdletBinding()] param([string] $LiteralPath, [string] $Name)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    if (-not (Test-RegistryKey $LiteralPath)) { return Write-Refusal $PSCmdlet (New-NotFound $PSCmdlet) }
    Write-Answer $PSCmdlet $how ([pscustomobject] $World.registry[$LiteralPath]) { Set-Gone $LiteralPath }
}
# What is written to the registry, one line of JSON each, for the tests.
function Write-Registry($Entry) { [IO.File]::AppendAllText($World.written, (ConvertTo-Json -Compress -InputObject $Entry) + "`n") }
function New-ItemProperty {
    [CmdletBinding()] param([string] $LiteralPath, [string] $Name, $Value, [string] $PropertyType, [switch] $Force)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    if (-not (Test-RegistryKey $LiteralPath)) { return Write-Refusal $PSCmdlet (New-NotFound $PSCmdlet) }
    Write-Registry @{ key = $LiteralPath; name = $Name; value = $Value; kind = $PropertyType }
}
function Remove-ItemProperty {
    [CmdletBinding()] param([string] $LiteralPath, [string] $Name)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    if (-not (Test-RegistryKey $LiteralPath) -or -not $World.registry[$LiteralPath].Contains($Name)) { return Write-Refusal $PSCmdlet (New-NotFound $PSCmdlet) }
    Write-Registry @{ key = $LiteralPath; name = $Name; value = $null; kind = $null }
}
function Restart-Service {
    [CmdletBinding()] param([string[]] $Name, [switch] $Force)
    if ((Enter-Call $PSCmdlet) -eq 'stop') { return }
    [IO.File]::AppendAllText($World.started, 'service ' + $Name + "`n")
}
# The compiler is the real one: a class that is known already is not compiled again.
function Add-Type {
    [CmdletBinding()] param([string] $TypeDefinition)
    if ((Enter-Call $PSCmdlet) -eq 'stop') { return }
    Microsoft.PowerShell.Utility\Add-Type -TypeDefinition $TypeDefinition
}
function Get-ChildItem {
    [CmdletBinding()] param([Parameter(Position = 0)] [string[]] $Path, [string] $LiteralPath, [switch] $Force)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    if (-not (Test-RegistryPath $LiteralPath)) {
        $rows = @(Microsoft.PowerShell.Management\Get-ChildItem @PSBoundParameters)
        return Write-Answer $PSCmdlet $how $rows { param($Row) if ($Row -is [IO.FileInfo]) { $Row.Delete() } }
    }
    if (-not (Test-RegistryKey $LiteralPath)) { return Write-Refusal $PSCmdlet (New-NotFound $PSCmdlet) }
    $rows = foreach ($each in @($World.registry.Keys)) {
        $above, $name = $each.Substring(0, [Math]::Max(0, $each.LastIndexOf('\'))), $each.Substring($each.LastIndexOf('\') + 1)
        if ($above -eq $LiteralPath -and $name -and -not (Test-Gone $each)) { New-Key $each }
    }
    Write-Answer $PSCmdlet $how $rows { param($Row) Set-Gone $Row.PSPath }
}
function Get-Acl {
    [CmdletBinding()] param([string] $LiteralPath)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    if (-not (Test-Path -LiteralPath $LiteralPath)) { return Write-Refusal $PSCmdlet (New-NotFound $PSCmdlet) }
    Write-Answer $PSCmdlet $how ([pscustomobject] @{ Owner = 'BUILTIN\Administrators' }) { [IO.File]::Delete($LiteralPath) }
}
function Get-Item {
    [CmdletBinding()] param([Parameter(Position = 0)] [string[]] $Path, [string] $LiteralPath, [switch] $Force)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    if (Test-RegistryPath $LiteralPath) {
        if (-not (Test-RegistryKey $LiteralPath)) { return Write-Refusal $PSCmdlet (New-NotFound $PSCmdlet) }
        return Write-Answer $PSCmdlet $how (New-Key $LiteralPath) { Set-Gone $LiteralPath }
    }
    try { $item = Microsoft.PowerShell.Management\Get-Item @PSBoundParameters -ErrorAction Stop }
    catch { return Write-Refusal $PSCmdlet (New-NotFound $PSCmdlet) }
    Write-Answer $PSCmdlet $how $item { param($Row) $Row.Delete() }
}
function Join-Path {
    [CmdletBinding()] param([Parameter(Position = 0)] $Path, [Parameter(Position = 1)] $ChildPath)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    Write-Answer $PSCmdlet $how (Microsoft.PowerShell.Management\Join-Path @PSBoundParameters)
}
function Get-Command {
    [CmdletBinding()] param([Parameter(Position = 0)] [string[]] $Name, $CommandType)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    Write-Answer $PSCmdlet $how @(Microsoft.PowerShell.Core\Get-Command @PSBoundParameters)
}
function Start-Process {
    [CmdletBinding()] param([Parameter(Position = 0)] [string] $FilePath, $ArgumentList, $WindowStyle, [string] $WorkingDirectory, [switch] $PassThru)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop') { return }
    [IO.File]::AppendAllText($World.started, $FilePath + ' ' + (@($ArgumentList) -join ' ') + "`n")
}
# A twentieth of the time really passes, so that programs that run beside a script get their turn.
function Start-Sleep {
    [CmdletBinding()] param([Parameter(Position = 0)] [double] $Seconds, [int] $Milliseconds)
    if ((Enter-Call $PSCmdlet) -eq 'stop') { return }
    $all = if ($Milliseconds) { $Milliseconds } else { $Seconds * 1000 }
    [Threading.Thread]::Sleep([int] ($all / 20))
    [StandIn.Clock]::Pass($all * 0.95 / 1000)
    Step-Tasks
}
function New-Object {
    [CmdletBinding()]
    param([Parameter(Position = 0)] [string] $TypeName, [Parameter(Position = 1)] [object[]] $ArgumentList, [string] $ComObject, $Property)
    $how = Enter-Call $PSCmdlet
    if ($how -eq 'stop' -or $how -eq 'nothing' -or $how -eq 'null') { return }
    if ($ComObject) {
        $made = [pscustomobject] @{ Place = $World.shown }
        Add-Member -InputObject $made -MemberType ScriptMethod -Name Popup -Value { param($Text) [IO.File]::AppendAllText($this.Place, $Text + "`n"); -1 }
        return $PSCmdlet.WriteObject($made)
    }
    $made = Microsoft.PowerShell.Utility\New-Object @PSBoundParameters
    $PSCmdlet.WriteObject($made, $false)
}

Export-ModuleMember -Function *
