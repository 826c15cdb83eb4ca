# Fetches the coder binary from the deployment and runs the agent of this
# workspace. When that fails, the machine stays up for a day so that it can be
# looked at.
$ErrorActionPreference = "Stop"
$ProgressPreference = "SilentlyContinue"
[Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12

try {
	$dir = Join-Path $env:TEMP ("coder-" + [guid]::NewGuid().ToString("N"))
	New-Item -ItemType Directory -Path $dir | Out-Null
	$binary = Join-Path $dir "coder.exe"
	while ($true) {
		try {
			Invoke-WebRequest -UseBasicParsing -Uri "${ACCESS_URL}bin/@BINARY@" -OutFile $binary
			break
		} catch {
			Write-Output "Fetching ${ACCESS_URL}bin/@BINARY@ did not work; trying again in 30 seconds: $_"
			Start-Sleep -Seconds 30
		}
	}
	$env:CODER_AGENT_AUTH = "${AUTH_TYPE}"
	$env:CODER_AGENT_URL = "${ACCESS_URL}"
	& $binary agent
	exit $LASTEXITCODE
} catch {
	Write-Output "The agent could not be started: $_"
	Write-Output "This machine stays up for 24 hours so that you can look at it."
	Start-Sleep -Seconds 86400
	exit 1
}
