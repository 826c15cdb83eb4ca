package terraform

import (
	"fmt"
	"strings"
)

// agentTargets are the systems that the provider asks bootstrap scripts for.
func agentTargets() [][2]string {
	return [][2]string{
		{"linux", "amd64"}, {"linux", "arm64"}, {"linux", "armv7"},
		{"darwin", "amd64"}, {"darwin", "arm64"},
		{"windows", "amd64"}, {"windows", "arm64"},
	}
}

// unixAgentScript fetches the agent and becomes it. The provider replaces
// ${ACCESS_URL}, which ends in a slash, and ${AUTH_TYPE}.
const unixAgentScript = `#!/usr/bin/env sh
set -eu
dir=$(mktemp -d "${TMPDIR:-/tmp}/coder.XXXXXX")
url="${ACCESS_URL}bin/coder-@OS@-@ARCH@"
fetch() {
	if command -v curl >/dev/null 2>&1; then curl -fsSL --compressed -o "$dir/coder" "$url"
	elif command -v wget >/dev/null 2>&1; then wget -q -O "$dir/coder" "$url"
	elif command -v busybox >/dev/null 2>&1; then busybox wget -q -O "$dir/coder" "$url"
	else echo "Install curl or wget in the workspace's image: the agent cannot be fetched without." >&2; return 1
	fi
}
until fetch; do
	echo "Could not fetch the agent from $url; next try in 30 s." >&2
	sleep 30
done
chmod +x "$dir/coder"
export CODER_AGENT_AUTH="${AUTH_TYPE}"
export CODER_AGENT_URL="${ACCESS_URL}"
stopping=0
"$dir/coder" agent &
agent=$!
trap 'stopping=1; kill -TERM "$agent" 2>/dev/null' TERM INT
status=0
wait "$agent" || status=$?
if [ "$stopping" = 1 ]; then
	wait "$agent" || exit $?
	exit 0
fi
echo "The agent ended with status $status. This session stays for 24 h, so that its log can be read." >&2
sleep 86400
`

const windowsAgentScript = `$ErrorActionPreference = "Stop"
$dir = Join-Path $env:TEMP ("coder-" + [System.IO.Path]::GetRandomFileName())
New-Item -ItemType Directory -Path $dir | Out-Null
$agent = Join-Path $dir "coder.exe"
$url = "${ACCESS_URL}bin/coder-@OS@-@ARCH@.exe"
while ($true) {
	try { Invoke-WebRequest -UseBasicParsing -Uri $url -OutFile $agent; break }
	catch { Write-Warning "Could not fetch the agent from ${url}; next try in 30 s."; Start-Sleep -Seconds 30 }
}
$env:CODER_AGENT_AUTH = "${AUTH_TYPE}"
$env:CODER_AGENT_URL = "${ACCESS_URL}"
& $agent agent
if ($LASTEXITCODE -ne 0) { Start-Sleep -Seconds 86400 }
`

// AgentScript is the bootstrap script of one system, with the provider's two
// placeholders in it. Unknown systems have none.
func AgentScript(system, arch string) (string, bool) {
	for _, target := range agentTargets() {
		if target != [2]string{system, arch} {
			continue
		}
		script := unixAgentScript
		if system == "windows" {
			script = windowsAgentScript
		}
		return strings.NewReplacer("@OS@", system, "@ARCH@", arch).Replace(script), true
	}
	return "", false
}

func agentScripts() []string {
	env := []string{}
	for _, target := range agentTargets() {
		if script, ok := AgentScript(target[0], target[1]); ok {
			env = append(env, fmt.Sprintf("CODER_AGENT_SCRIPT_%s_%s=%s", target[0], target[1], script))
		}
	}
	return env
}
