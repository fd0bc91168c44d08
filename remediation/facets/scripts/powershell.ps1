# Runs a script of the user in a runspace of its own, and returns its streams. Data: script; parameters, arguments, chdir, error_action,
# depth, check and environment, each of which may be missing. The script sees $Ansible with Result, Changed, Failed and CheckMode.
param($Data)

$depth = 2
if ($Data.depth) { $depth = [int] $Data.depth }
$Ansible = New-Object PSObject -Property @{
    Result = @{}
    Changed = $true
    Failed = $false
    CheckMode = [bool] $Data.check
    Verbosity = 0
    Diff = @{}
    Tmpdir = [IO.Path]::GetTempPath()
}

# Plain values as they are; objects as their properties, as deep as $Level, and their text below that.
function ConvertTo-Value($Item, [int] $Level) {
    if ($null -eq $Item) { return $null }
    $base = $Item
    if ($Item -is [PSObject] -and $null -ne $Item.PSObject.BaseObject) { $base = $Item.PSObject.BaseObject }
    if ($base -is [string] -or $base -is [bool] -or $base -is [decimal] -or ($base -is [ValueType] -and $base.GetType().IsPrimitive)) { return $base }
    if ($base -is [DateTime]) { return $base.ToUniversalTime().ToString('o') }
    if ($base -is [ValueType] -or $base -is [Version] -or $base -is [Uri] -or $base -is [Type] -or $Level -lt 0) { return [string] $Item }
    $found = @{}
    if ($base -is [Collections.IDictionary]) {
        foreach ($key in @($base.Keys)) { $found[[string] $key] = ConvertTo-Value $base[$key] ($Level - 1) }
        return $found
    }
    if ($base -is [Collections.IEnumerable]) {
        $list = New-Object Collections.ArrayList
        foreach ($each in $base) { $null = $list.Add((ConvertTo-Value $each ($Level - 1))) }
        return , $list.ToArray()
    }
    foreach ($each in $Item.PSObject.Properties) {
        $value = $null
        try { $value = $each.Value } catch { $null = $_ } # a property may refuse to be read
        $found[$each.Name] = ConvertTo-Value $value ($Level - 1)
    }
    $found
}

function Get-ErrorRow($Record) {
    @{
        output = ($Record | Out-String)
        error_details = [string] $Record.ErrorDetails
        exception = @{
            message = [string] $Record.Exception.Message
            type = $Record.Exception.GetType().FullName
            source = $Record.Exception.Source
            help_link = $Record.Exception.HelpLink
            hresult = $Record.Exception.HResult
        }
        category_info = @{
            category = [string] $Record.CategoryInfo.Category
            category_id = [int] $Record.CategoryInfo.Category
            activity = $Record.CategoryInfo.Activity
            reason = $Record.CategoryInfo.Reason
            target_name = $Record.CategoryInfo.TargetName
            target_type = $Record.CategoryInfo.TargetType
        }
        fully_qualified_error_id = $Record.FullyQualifiedErrorId
        script_stack_trace = $Record.ScriptStackTrace
        target_object = [string] $Record.TargetObject
    }
}

function Get-Property($Object) {
    if ($null -eq $Object) { return }
    foreach ($each in $Object.PSObject.Properties) { if ($each.MemberType -eq 'NoteProperty') { $each } }
}

$kept = @{}
$shell = [PowerShell]::Create()
$output = @()
$problem = $null
try {
    foreach ($each in @(Get-Property $Data.environment)) {
        $kept[$each.Name] = [Environment]::GetEnvironmentVariable($each.Name)
        [Environment]::SetEnvironmentVariable($each.Name, [string] $each.Value)
    }
    $space = [Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace()
    $space.Open()
    $shell.Runspace = $space
    $space.SessionStateProxy.SetVariable('Ansible', $Ansible)
    if ($Data.error_action) {
        $preference = @{ silently_continue = 'SilentlyContinue'; 'continue' = 'Continue'; stop = 'Stop' }[[string] $Data.error_action]
        $space.SessionStateProxy.SetVariable('ErrorActionPreference', $preference)
    }
    if ($Data.chdir) {
        $null = $shell.AddCommand('Set-Location').AddParameter('LiteralPath', [string] $Data.chdir).AddParameter('ErrorAction', 'Stop').AddStatement()
    }
    $null = $shell.AddScript([string] $Data.script)
    foreach ($each in @(Get-Property $Data.parameters)) { $null = $shell.AddParameter($each.Name, $each.Value) }
    foreach ($each in @($Data.arguments)) { if ($null -ne $each) { $null = $shell.AddArgument($each) } }
    try { $output = @($shell.Invoke()) }
    catch {
        $problem = $_.Exception
        if ($null -ne $problem.InnerException) { $problem = $problem.InnerException }
        $Ansible.Failed = $true
    }
}
finally {
    foreach ($each in @($kept.Keys)) {
        # $null would be passed as '', which since .NET 9 sets an empty variable instead of removing it
        $before = if ($null -eq $kept[$each]) { [NullString]::Value } else { $kept[$each] }
        [Environment]::SetEnvironmentVariable($each, $before)
    }
}

$errors = New-Object Collections.ArrayList
foreach ($each in $shell.Streams.Error) { $null = $errors.Add((Get-ErrorRow $each)) }
if ($null -ne $problem) {
    if ($problem -is [Management.Automation.IContainsErrorRecord]) { $null = $errors.Add((Get-ErrorRow $problem.ErrorRecord)) }
    else { $null = $errors.Add(@{ output = [string] $problem.Message; exception = @{ message = [string] $problem.Message; type = $problem.GetType().FullName } }) }
}
$hostOut = New-Object Text.StringBuilder
$information = New-Object Collections.ArrayList
foreach ($each in $shell.Streams.Information) {
    $tags = @($each.Tags | ForEach-Object { [string] $_ })
    if ($tags -contains 'PSHOST') {
        $null = $hostOut.Append([string] $each.MessageData)
        if (-not $each.MessageData.NoNewLine) { $null = $hostOut.Append("`n") }
    }
    $null = $information.Add(@{ message_data = [string] $each.MessageData; source = [string] $each.Source; tags = $tags })
}
$values = New-Object Collections.ArrayList
foreach ($each in $output) { $null = $values.Add((ConvertTo-Value $each ($depth - 1))) }
$said = @{
    result = ConvertTo-Value $Ansible.Result $depth
    changed = [bool] $Ansible.Changed
    failed = [bool] $Ansible.Failed
    output = $values.ToArray()
    error = $errors.ToArray()
    host_out = $hostOut.ToString()
    host_err = ''
    information = $information.ToArray()
    warning = @($shell.Streams.Warning | ForEach-Object { [string] $_.Message })
    verbose = @($shell.Streams.Verbose | ForEach-Object { [string] $_.Message })
    debug = @($shell.Streams.Debug | ForEach-Object { [string] $_.Message })
}
if ($null -ne $shell.Runspace) { $shell.Runspace.Dispose() }
$shell.Dispose()
ConvertTo-Json -Depth 20 -Compress -InputObject $said
