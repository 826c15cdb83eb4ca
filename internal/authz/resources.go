package authz

import "slices"

// Kinds of objects, section 15.1 of the reference.
const (
	APIKey             Resource = "api_key"
	AssignOrgRole      Resource = "assign_org_role"
	AssignRole         Resource = "assign_role"
	AuditLog           Resource = "audit_log"
	ConnectionLog      Resource = "connection_log"
	CryptoKey          Resource = "crypto_key"
	DebugInfo          Resource = "debug_info"
	DeploymentConfig   Resource = "deployment_config"
	DeploymentStats    Resource = "deployment_stats"
	File               Resource = "file"
	Group              Resource = "group"
	GroupMember        Resource = "group_member"
	IDPSyncSettings    Resource = "idpsync_settings"
	InboxNotification  Resource = "inbox_notification"
	License            Resource = "license"
	NotificationMsg    Resource = "notification_message"
	NotificationPref   Resource = "notification_preference"
	NotificationTmpl   Resource = "notification_template"
	OAuth2App          Resource = "oauth2_app"
	OAuth2AppCodeToken Resource = "oauth2_app_code_token"
	OAuth2AppSecret    Resource = "oauth2_app_secret"
	Organization       Resource = "organization"
	OrganizationMember Resource = "organization_member"
	PrebuiltWorkspace  Resource = "prebuilt_workspace"
	ProvisionerDaemon  Resource = "provisioner_daemon"
	ProvisionerJobs    Resource = "provisioner_jobs"
	Replicas           Resource = "replicas"
	System             Resource = "system"
	Template           Resource = "template"
	User               Resource = "user"
	UserSecret         Resource = "user_secret"
	Workspace          Resource = "workspace"
	WorkspaceDormant   Resource = "workspace_dormant"
	WorkspaceProxy     Resource = "workspace_proxy"
)

// Actions, section 15.1 of the reference.
const (
	Create             Action = "create"
	Read               Action = "read"
	Update             Action = "update"
	Delete             Action = "delete"
	Assign             Action = "assign"
	Unassign           Action = "unassign"
	Use                Action = "use"
	ViewInsights       Action = "view_insights"
	ReadPersonal       Action = "read_personal"
	UpdatePersonal     Action = "update_personal"
	ApplicationConnect Action = "application_connect"
	SSH                Action = "ssh"
	Start              Action = "start"
	Stop               Action = "stop"
	Share              Action = "share"
	CreateAgent        Action = "create_agent"
	DeleteAgent        Action = "delete_agent"
	UpdateAgent        Action = "update_agent"
)

var (
	crud      = []Action{Create, Read, Update, Delete}
	workspace = []Action{ApplicationConnect, Create, CreateAgent, Delete, DeleteAgent, Read, Share, SSH, Start, Stop, Update, UpdateAgent}
	dormant   = []Action{Read, Create, Update, Delete, Stop, CreateAgent, DeleteAgent, UpdateAgent}
)

// DormantActions are what roles allow on a workspace that is dormant, at most.
func DormantActions() []Action { return slices.Clone(dormant) }

// Actions lists the actions of every kind of object.
var Actions = map[Resource][]Action{
	APIKey:             crud,
	AssignOrgRole:      {Assign, Create, Delete, Read, Unassign, Update},
	AssignRole:         {Assign, Read, Unassign},
	AuditLog:           {Create, Read},
	ConnectionLog:      {Read, Update},
	CryptoKey:          crud,
	DebugInfo:          {Read},
	DeploymentConfig:   {Read, Update},
	DeploymentStats:    {Read},
	File:               {Create, Read},
	Group:              crud,
	GroupMember:        {Read},
	IDPSyncSettings:    {Read, Update},
	InboxNotification:  {Create, Read, Update},
	License:            {Create, Delete, Read},
	NotificationMsg:    crud,
	NotificationPref:   {Read, Update},
	NotificationTmpl:   {Read, Update},
	OAuth2App:          crud,
	OAuth2AppCodeToken: {Create, Delete, Read},
	OAuth2AppSecret:    crud,
	Organization:       crud,
	OrganizationMember: crud,
	PrebuiltWorkspace:  {Delete, Update},
	ProvisionerDaemon:  crud,
	ProvisionerJobs:    {Create, Read, Update},
	Replicas:           {Read},
	System:             crud,
	Template:           {Create, Read, Update, Delete, Use, ViewInsights},
	User:               {Create, Read, Update, Delete, ReadPersonal, UpdatePersonal},
	UserSecret:         crud,
	Workspace:          workspace,
	WorkspaceDormant:   workspace,
	WorkspaceProxy:     crud,
}
