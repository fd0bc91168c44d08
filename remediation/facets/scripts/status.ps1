# What is at a path. Data: path, follow, algorithm (sha1, sha256, ... or null). Exists is false where there is nothing.
param($Data)

$path = [string] $Data.path

function Get-At([string] $At, [int] $Flags) {
    if ($Flags -band 16) { New-Object IO.DirectoryInfo $At }
    else { New-Object IO.FileInfo $At }
}

function Get-Sum([string] $At) {
    $stream = New-Object IO.FileStream($At, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare] 'ReadWrite, Delete')
    try {
        $hasher = [Security.Cryptography.HashAlgorithm]::Create(([string] $Data.algorithm).ToUpperInvariant())
        [BitConverter]::ToString($hasher.ComputeHash($stream)).Replace('-', '').ToLowerInvariant()
    }
    finally { $stream.Dispose() }
}

# The status, or nothing if there is nothing.
function Get-Status {
    try { $flags = [int] [IO.File]::GetAttributes($path) }
    catch {
        if (Test-Cause $_ @([IO.FileNotFoundException], [IO.DirectoryNotFoundException])) { return }
        throw
    }
    $item = Get-At $path $flags
    $target = $null
    $link = ($flags -band 1024) -ne 0
    if ($link) {
        $target = [string] @($item.Target)[0]
        if ($Data.follow -and $target) {
            $flags = [int] [IO.File]::GetAttributes($target)
            $item = Get-At $target $flags
            $link = $false
        }
    }
    $folder = ($flags -band 16) -ne 0
    $length = 0
    $sum = $null
    if (-not $folder) {
        $length = $item.Length
        if ($Data.algorithm) {
            $sum = Get-Part 'Sum' { Get-Sum $item.FullName }
        }
    }
    @{
        Exists = $true
        Path = [string] $item.FullName
        Name = [string] $item.Name
        Extension = [string] $item.Extension
        Folder = $folder
        Link = $link
        Junction = ($link -and [string] $item.LinkType -eq 'Junction')
        Target = $target
        Length = $length
        Attributes = [string] $item.Attributes
        Hidden = ($flags -band 2) -ne 0
        Archive = ($flags -band 32) -ne 0
        ReadOnly = ($flags -band 1) -ne 0
        Created = ConvertTo-Epoch $item.CreationTime
        Accessed = ConvertTo-Epoch $item.LastAccessTime
        Written = ConvertTo-Epoch $item.LastWriteTime
        Owner = Get-Part 'Owner' { [string] (Get-Acl -LiteralPath $item.FullName -ErrorAction Stop).Owner }
        Sum = $sum
        Problems = $Problems
    }
}

$value = Get-Part 'Exists' { Get-Status }
if ($null -eq $value) {
    $value = @{
        Exists = $null
        Path = $null
        Name = $null
        Extension = $null
        Folder = $null
        Link = $null
        Junction = $null
        Target = $null
        Length = $null
        Attributes = $null
        Hidden = $null
        Archive = $null
        ReadOnly = $null
        Created = $null
        Accessed = $null
        Written = $null
        Owner = $null
        Sum = $null
        Problems = $Problems
    }
    if (-not $Problems.ContainsKey('Exists')) { $value.Exists = $false }
}
ConvertTo-Json -Depth 20 -Compress -InputObject $value
