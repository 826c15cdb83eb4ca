package terraform

import (
	"encoding/json"
	"fmt"
	"strings"

	"coder/client"
)

func (e *extraction) readAgents() error {
	taken := map[string]string{}
	return e.each("coder_agent", func(o object) error {
		if err := checkAgentName(o.Name); err != nil {
			return err
		}
		name := strings.ToLower(o.Name)
		if other, ok := taken[name]; ok && other != o.Label {
			return fmt.Errorf("the agent name %q is used by %s already; agent names are unique in a template, whatever their case", o.Name, other)
		}
		taken[name] = o.Label
		agent, err := readAgent(o)
		if err != nil {
			return err
		}
		e.agents = append(e.agents, &agentEntry{object: o, agent: agent, env: map[string]string{}})
		return nil
	})
}

func readAgent(o object) (client.ProvisionedAgent, error) {
	v := o.Values
	agent := client.ProvisionedAgent{
		ID: v.text("id"), Name: o.Name, Token: v.text("token"), Auth: v.text("auth"),
		OperatingSystem: v.text("os"), Architecture: v.text("arch"), Directory: v.text("dir"),
		Env: v.texts("env"), APIKeyScope: v.text("api_key_scope"),
		StartupScriptBehavior:    v.text("startup_script_behavior"),
		ConnectionTimeoutSeconds: v.number("connection_timeout"),
		TroubleshootingURL:       v.text("troubleshooting_url"), MOTDFile: v.text("motd_file"),
		Order: v.number("order"), DisplayApps: displayApps(v),
		Metadata: []client.ProvisionedMetadata{}, Apps: []client.ProvisionedApp{},
		Scripts: agentScriptsOf(v), Devcontainers: []client.ProvisionedDevcontainer{},
	}
	for _, block := range v.blocks("metadata") {
		agent.Metadata = append(agent.Metadata, client.ProvisionedMetadata{
			Key: block.text("key"), DisplayName: block.text("display_name"), Script: block.text("script"),
			Interval: int64(block.number("interval")), Timeout: int64(block.number("timeout")), Order: block.number("order"),
		})
	}
	if monitoring := v.blocks("resources_monitoring"); len(monitoring) > 0 {
		content, err := json.Marshal(monitoring[0])
		if err != nil {
			return client.ProvisionedAgent{}, fmt.Errorf("read resources_monitoring: %w", err)
		}
		agent.ResourcesMonitoring = content
	}
	return agent, nil
}

// displayApps: without a block, the provider's defaults hold.
func displayApps(v attributes) []string {
	shown := attributes{"vscode": true, "web_terminal": true, "port_forwarding_helper": true, "ssh_helper": true}
	if blocks := v.blocks("display_apps"); len(blocks) > 0 {
		shown = blocks[0]
	}
	apps := []string{}
	for _, name := range []string{"vscode", "vscode_insiders", "web_terminal", "port_forwarding_helper", "ssh_helper"} {
		if shown.truth(name) {
			apps = append(apps, name)
		}
	}
	return apps
}

// agentScriptsOf: the agent's own start and stop script are scripts like others.
func agentScriptsOf(v attributes) []client.ProvisionedScript {
	scripts := []client.ProvisionedScript{}
	if script := v.text("startup_script"); script != "" {
		scripts = append(scripts, client.ProvisionedScript{
			DisplayName: "Startup Script", Icon: "/emojis/25b6.png", LogPath: "coder-startup-script.log",
			Script: script, RunOnStart: true, StartBlocksLogin: v.text("startup_script_behavior") == "blocking",
		})
	}
	if script := v.text("shutdown_script"); script != "" {
		scripts = append(scripts, client.ProvisionedScript{
			DisplayName: "Shutdown Script", Icon: "/emojis/25c0.png", LogPath: "coder-shutdown-script.log",
			Script: script, RunOnStop: true,
		})
	}
	return scripts
}

func (e *extraction) readApps() error {
	taken := map[string]string{}
	return e.each("coder_app", func(o object) error {
		app := readApp(o)
		if other, ok := taken[app.Slug]; ok {
			return fmt.Errorf("the app slug %q is used by %s already; slugs are unique in a template", app.Slug, other)
		}
		taken[app.Slug] = o.Address
		if entry := e.agentOf(o); entry != nil {
			entry.agent.Apps = append(entry.agent.Apps, app)
		}
		return nil
	})
}

func readApp(o object) client.ProvisionedApp {
	v := o.Values
	slug := firstSet(v.text("slug"), o.Name)
	app := client.ProvisionedApp{
		ID: v.text("id"), Slug: slug, DisplayName: firstSet(v.text("display_name"), slug),
		Command: v.text("command"), URL: v.text("url"), Icon: v.text("icon"),
		Subdomain: v.truth("subdomain"), External: v.truth("external"),
		Share: firstSet(v.text("share"), "owner"), Hidden: v.truth("hidden"),
		OpenIn: firstSet(v.text("open_in"), "slim-window"), Group: v.text("group"),
		Tooltip: v.text("tooltip"), Order: v.number("order"),
	}
	if checks := v.blocks("healthcheck"); len(checks) > 0 {
		app.Healthcheck = &client.AppHealthcheck{
			URL: checks[0].text("url"), Interval: checks[0].number("interval"), Threshold: checks[0].number("threshold"),
		}
	}
	return app
}

func (e *extraction) readScripts() error {
	return e.each("coder_script", func(o object) error {
		v := o.Values
		if entry := e.agentOf(o); entry != nil {
			entry.agent.Scripts = append(entry.agent.Scripts, client.ProvisionedScript{
				ID: v.text("id"), DisplayName: v.text("display_name"), Icon: v.text("icon"), Script: v.text("script"),
				LogPath: v.text("log_path"), Cron: v.text("cron"), RunOnStart: v.truth("run_on_start"),
				RunOnStop: v.truth("run_on_stop"), StartBlocksLogin: v.truth("start_blocks_login"),
				TimeoutSeconds: v.number("timeout"),
			})
		}
		return nil
	})
}

// readEnvironment adds the variables of coder_env to those of the agent, in
// the order of their addresses.
func (e *extraction) readEnvironment() error {
	return e.each("coder_env", func(o object) error {
		entry := e.agentOf(o)
		if entry == nil {
			return nil
		}
		name, value := o.Values.text("name"), o.Values.text("value")
		old, set := entry.agent.Env[name]
		strategy := o.Values.text("merge_strategy")
		switch {
		case set && strategy == "append":
			value = old + ":" + value
		case set && strategy == "prepend":
			value = value + ":" + old
		case set && strategy == "error":
			return fmt.Errorf("the variable %s of agent %s is set already, and merge_strategy is error", name, entry.Name)
		}
		entry.agent.Env[name] = value
		return nil
	})
}

func (e *extraction) readDevcontainers() error {
	return e.each("coder_devcontainer", func(o object) error {
		if entry := e.agentOf(o); entry != nil {
			entry.agent.Devcontainers = append(entry.agent.Devcontainers, client.ProvisionedDevcontainer{
				ID: o.Values.text("id"), Name: o.Name,
				WorkspaceFolder: o.Values.text("workspace_folder"), ConfigPath: o.Values.text("config_path"),
			})
		}
		return nil
	})
}
