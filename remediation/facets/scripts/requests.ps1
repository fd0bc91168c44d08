# What request bodies that Ollama wrote say of model and layers, and no word of their prompts. Data: paths.
param($Data)

$most = 1MB
$wanted = '"(?:model|num_gpu)" *: *(?:"[^"]*"|-?[0-9]+)'
$rows = New-Object Collections.ArrayList
$refused = New-Object Collections.ArrayList
foreach ($path in @($Data.paths)) {
    try {
        $file = New-Object IO.FileInfo ([string] $path)
        if ($file.Exists -and $file.Length -gt $most) { continue }
        # a folder that may not be entered looks empty, so that only opening tells the two apart
        $text = [IO.File]::ReadAllText([string] $path)
    }
    catch {
        $cause = $_.Exception.GetBaseException()
        if ($cause -is [UnauthorizedAccessException]) { $null = $refused.Add([string] $path) }
        continue
    }
    $parts = @([Regex]::Matches($text, $wanted) | ForEach-Object { $_.Value })
    $null = $rows.Add(@{ Path = [string] $path; Text = [string] ($parts -join ', ') })
}
ConvertTo-Json -Depth 20 -Compress -InputObject @{ Rows = $rows.ToArray(); Refused = $refused.ToArray() }
