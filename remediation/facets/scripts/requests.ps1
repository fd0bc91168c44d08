# The model and layer fields of requests logged by Ollama, without prompts. Data: paths.
param($Data)

$most = 1MB
$wanted = '"(?:model|num_gpu)" *: *(?:"[^"]*"|-?[0-9]+)'
$rows = New-Object Collections.ArrayList
$refused = New-Object Collections.ArrayList

function Read-Body([string] $Path) {
    # the server may still have it open
    $file = New-Object IO.FileStream($Path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare] 'ReadWrite, Delete')
    try { if ($file.Length -le $most) { (New-Object IO.StreamReader($file, [Text.Encoding]::UTF8)).ReadToEnd() } }
    finally { $file.Dispose() }
}

foreach ($path in @($Data.paths)) {
    if (-not $path) { continue }
    try {
        $text = Read-Body $path
        if ($null -eq $text) { continue }
        $parts = @([Regex]::Matches($text, $wanted) | ForEach-Object { $_.Value })
        $null = $rows.Add(@{ Path = [string] $path; Text = [string] ($parts -join ', ') })
    }
    catch {
        if (Test-Cause $_ @([IO.FileNotFoundException], [IO.DirectoryNotFoundException])) { continue }
        if (Test-Cause $_ @([UnauthorizedAccessException])) { $null = $refused.Add([string] $path) }
        $Problems[[string] $path] = Get-Reason $_
    }
}
ConvertTo-Json -Depth 20 -Compress -InputObject @{ Rows = $rows.ToArray(); Refused = $refused.ToArray(); Problems = $Problems }
