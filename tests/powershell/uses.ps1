# What scripts use, from their syntax trees: reads {name: text} as JSON from stdin, writes {name: uses} as JSON. Type names are whole.
$texts = [Console]::In.ReadToEnd() | ConvertFrom-Json -AsHashtable
$language = 'System.Management.Automation.Language.'
$newer = @('QuestionQuestion', 'QuestionQuestionEquals', 'QuestionDot', 'QuestionLBracket', 'AndAnd', 'OrOr', 'QuestionMark', 'Ampersand', 'Clean')

function Resolve-Name([string] $Name) {
    # as the language does: accelerators, then the name, then the name below System
    $type = ($Name -replace '\[\]$') -as [type]
    if ($null -ne $type) { return $type.FullName }
    '? ' + $Name
}
function Get-Literal($Ast) { if ($Ast -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $Ast.Value } }

$found = @{}
foreach ($name in $texts.Keys) {
    $tokens = $null
    $errors = $null
    $tree = [System.Management.Automation.Language.Parser]::ParseInput($texts[$name], [ref] $tokens, [ref] $errors)
    $all = @($tree.FindAll({ $true }, $true))
    $uses = @{ errors = @($errors | ForEach-Object { [string] $_ }); functions = @(); commands = @(); types = @(); statics = @(); members = @(); properties = @(); variables = @(); syntax = @(); names = @() }
    foreach ($token in $tokens) {
        $kind = [string] $token.Kind
        # & before a command is the call operator of every version; after one it starts a job
        if ($kind -eq 'Ampersand') { continue }
        if ($newer -contains $kind -or ($kind -eq 'Number' -and $token.Text -match '^(0x[0-9a-f]+|[0-9.]+)(u|us|ul|y|uy|n|s)(kb|mb|gb)?$')) { $uses.syntax += $token.Text }
        if ($kind -eq 'StringExpandable' -and $token.Text -match '`(u\{|e)') { $uses.syntax += $token.Text }
    }
    foreach ($ast in $all) {
        $kind = $ast.GetType().Name
        switch ($kind) {
            'FunctionDefinitionAst' { $uses.functions += $ast.Name }
            'TernaryExpressionAst' { $uses.syntax += [string] $ast }
            'PipelineChainAst' { $uses.syntax += [string] $ast }
            'PipelineAst' { if ($ast.Background) { $uses.syntax += [string] $ast } }
            'TypeDefinitionAst' { $uses.syntax += $ast.Name }
            'VariableExpressionAst' { $uses.variables += $ast.VariablePath.UserPath }
            'TypeExpressionAst' { $uses.types += Resolve-Name $ast.TypeName.FullName }
            'TypeConstraintAst' { $uses.types += Resolve-Name $ast.TypeName.FullName }
            'ConvertExpressionAst' { $uses.types += Resolve-Name $ast.Type.TypeName.FullName }
            'CommandAst' {
                $command = $ast.GetCommandName()
                if (-not $command) { break }
                $parameters = @($ast.CommandElements | Where-Object { $_ -is [System.Management.Automation.Language.CommandParameterAst] } | ForEach-Object { $_.ParameterName })
                $uses.commands += @{ name = $command; parameters = $parameters }
                if ($command -eq 'New-Object') {
                    $made = @($ast.CommandElements | Select-Object -Skip 1 | Where-Object { $_ -isnot [System.Management.Automation.Language.CommandParameterAst] })[0]
                    if ($parameters -notcontains 'ComObject' -and (Get-Literal $made)) { $uses.types += Resolve-Name (Get-Literal $made) }
                }
            }
            'HashtableAst' { foreach ($pair in $ast.KeyValuePairs) { if (Get-Literal $pair.Item1) { $uses.names += Get-Literal $pair.Item1 } } }
            'StringConstantExpressionAst' {
                # a member's own name says nothing of where it comes from
                $above = $ast.Parent
                if ($above -isnot [System.Management.Automation.Language.MemberExpressionAst] -or $above.Member -ne $ast) { $uses.names += $ast.Value }
            }
        }
        if ($kind -notin 'MemberExpressionAst', 'InvokeMemberExpressionAst') { continue }
        $member = Get-Literal $ast.Member
        if (-not $member) { continue }
        if ($ast.NullConditional) { $uses.syntax += [string] $ast }
        $count = if ($kind -eq 'InvokeMemberExpressionAst') { @($ast.Arguments | Where-Object { $_ }).Count } else { $null }
        $guarded = $false
        for ($above = $ast.Parent; $null -ne $above; $above = $above.Parent) {
            if ($above -is [System.Management.Automation.Language.IfStatementAst] -and [string] $above.Clauses[0].Item1 -match '\$PSVersionTable|\$JsonDocument') { $guarded = $true }
        }
        if ($guarded) { continue }
        if ($ast.Static) {
            $type = if ($ast.Expression -is [System.Management.Automation.Language.TypeExpressionAst]) { Resolve-Name $ast.Expression.TypeName.FullName } else { '?' }
            $uses.statics += if ($null -eq $count) { $type + '::' + $member } else { $type + '::' + $member + '/' + $count }
        }
        elseif ($null -ne $count) { $uses.members += $member + '/' + $count }
        else { $uses.properties += $member }
    }
    $found[$name] = $uses
}
ConvertTo-Json -Depth 6 -Compress -InputObject $found
