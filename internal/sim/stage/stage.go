package stage

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"ec2patch/internal/asl"
	"ec2patch/internal/cfn"
	"ec2patch/internal/cloud"
	"ec2patch/internal/iam"
	"ec2patch/internal/lambdamain"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
	"ec2patch/internal/wire"
)

// The rehearsal's hub. Accounts of run inputs are spokes; the hub is none of them.
const (
	HubAccount = "999999999999"
	HubRegion  = "us-east-1"
	Management = "888888888888" // the management account of the organization
	ExternalID = "rehearsal-external-id-0123456789abcdef"
	Approver   = "approver@example.com"
)

// epoch is when every rehearsal begins: the second Tuesday of January 2026, at night.
func epoch() time.Time { return time.Date(2026, 1, 13, 2, 0, 0, 0, time.UTC) }

// Stage is a world with our templates deployed into it.
type Stage struct {
	Setup    Setup
	Input    runinput.Input // with the accounts of its units
	fleet    fleetfile.File
	World    *world.World
	Hub      *cfn.Stack
	Engine   *asl.Engine
	Machine  asl.StartInput            // of runs
	machines map[string]asl.StartInput // all, by ARN
	Lambdas  map[string]*Lambda        // by name of the function
	Start    time.Time
	Metrics  *metrics
	Watcher  watcher       // nil if nobody looks
	Serving  string        // the run that the function which runs now was invoked for, empty if nobody can tell
	skew     time.Duration // how far the clock of the function that runs now is off

	Demands  Demands       // the hub's
	Policies []*iam.Policy // of the hub's roles and the spokes'
}

// Setup is what is put on a stage.
type Setup struct {
	Input              []byte      // of the run, as it was written
	RunID              patch.RunID // of the run
	Seed               uint64
	Instances          int               // per account and region; used when Fleet is empty
	Fleet              []byte            // a fleet file, or nil
	Hub, Spoke, Reader []byte            // the templates
	Templates          *Templates        // read already; nil: they are read
	Parameters         map[string]string // further parameters of the hub's template
	SpokeParameters    map[string]string // and of the spoke's
}

// New deploys the hub, and the spoke's roles into every account of the input.
func New(o Setup, in runinput.Input) (*Stage, error) {
	s := &Stage{Setup: o, Input: in, Start: epoch(), Lambdas: map[string]*Lambda{}, machines: map[string]asl.StartInput{}}
	s.World = world.New(o.Seed, s.Start)
	s.World.Retryable = lambdamain.Retryable
	s.Metrics = &metrics{}
	t := o.Templates
	if t == nil {
		var err error
		if t, err = LoadTemplates(o.Hub, o.Spoke, o.Reader, o.Parameters); err != nil {
			return nil, err
		}
	}
	if err := s.planFleet(); err != nil {
		return nil, err
	}
	s.Hub, s.Demands = t.Hub, t.demands
	s.Input = s.Demands.Of(s.Input)
	s.addRoles(t.Roles)
	s.addResources(t.Hub, t.Resources)
	if err := s.DeploySpokes(t.spoke, in); err != nil {
		return nil, err
	}
	s.World.SetOrganization(Management)
	if err := s.World.AddFleet(s.fleet); err != nil {
		return nil, err
	}
	if err := s.addMachines(t.machines); err != nil {
		return nil, &FileError{What: hubTemplate, Err: err}
	}
	return s, s.addLambdas()
}

// Virtual is the time since the start.
func (s *Stage) Virtual() time.Duration { return s.World.Now().Sub(s.Start) }

// HubParameters are those of the hub's template that have no default, the reader role, and those that are given.
func HubParameters(t *cfn.Template, reader string, given map[string]string) map[string]string {
	all := map[string]string{
		"ArtifactBucket": "ec2patch-artifacts", "ArtifactKey": "lambda.zip", "CrossAccountExternalId": ExternalID,
		"NotificationEmail": Approver,
	}
	if t.Takes("OrganizationReaderRoleArn") { // an earlier hub's does not
		all["OrganizationReaderRoleArn"] = reader
	}
	maps.Copy(all, given)
	return all
}

// Templates are our templates as read: nothing writes to them, so all rehearsals
// of the same ones share them.
type Templates struct {
	Hub       *cfn.Stack
	demands   Demands
	spoke     *cfn.Template
	machines  map[string]*asl.Machine // by logical id
	Roles     []core.Role
	Resources map[string]*iam.Policy // of keys, buckets, topics and tables, by ARN
}

// LoadTemplates reads the templates, and deploys the hub's and the reader's on paper.
func LoadTemplates(hub, spoke, reader []byte, given map[string]string) (*Templates, error) {
	t := &Templates{Resources: map[string]*iam.Policy{}}
	readerARN, readers, err := loadReader(reader)
	if err != nil {
		return nil, &FileError{What: "organization reader template", Err: err}
	}
	if err := t.loadHub(hub, readerARN, given); err != nil {
		return nil, &FileError{What: hubTemplate, Err: err}
	}
	t.Roles = append(t.Roles, readers...)
	if t.spoke, err = cfn.Load("spoke-cfn.yaml", spoke); err != nil {
		return nil, &FileError{What: "spoke template", Err: err}
	}
	return t, nil
}

// loadReader deploys the role that lists accounts into the management account.
func loadReader(data []byte) (arn string, roles []core.Role, err error) {
	template, err := cfn.Load("organization-reader-cfn.yaml", data)
	if err != nil {
		return "", nil, err
	}
	stack, err := template.Deploy(cfn.Deployment{
		StackName: "ec2patch-organization-reader", Account: Management, Region: HubRegion,
		Parameters: map[string]string{"HubAccountId": HubAccount, "ExternalId": ExternalID},
	})
	if err != nil {
		return "", nil, err
	}
	roles, err = rolesOf(stack)
	if err != nil || len(roles) != 1 {
		return "", nil, errors.Join(err, fmt.Errorf("the template has %d roles, not one", len(roles)))
	}
	return roles[0].ARN, roles, nil
}

func (t *Templates) loadHub(data []byte, reader string, given map[string]string) error {
	template, err := cfn.Load("hub-cfn.yaml", data)
	if err != nil {
		return err
	}
	if t.Hub, err = template.Deploy(cfn.Deployment{StackName: "ec2patch-hub", Account: HubAccount, Region: HubRegion,
		Parameters: HubParameters(template, reader, given)}); err != nil {
		return err
	}
	t.demands = demandsOf(template, given)
	if err := t.ReadPolicies(); err != nil {
		return err
	}
	t.machines = map[string]*asl.Machine{}
	for _, m := range t.Hub.OfType(stateMachine) {
		node, err := t.Hub.Definition(m.LogicalID)
		if err != nil {
			return err
		}
		if t.machines[m.LogicalID], err = asl.Load(node); err != nil {
			return fmt.Errorf("%s: %w", m.LogicalID, err)
		}
	}
	return nil
}

// ReadPolicies reads the policies of the hub's roles and resources.
func (t *Templates) ReadPolicies() (err error) {
	if t.Roles, err = rolesOf(t.Hub); err != nil {
		return err
	}
	for _, p := range t.Hub.ResourcePolicies() {
		parsed, err := iam.ParsePolicy(p.LogicalID, p.JSON)
		if err != nil {
			return fmt.Errorf("policy %s: %w", p.LogicalID, err)
		}
		for _, arn := range p.On {
			t.Resources[arn] = parsed
		}
	}
	return nil
}

// FileError is a file of the rehearsal's that cannot be used.
type FileError struct {
	What string // "fleet file", "hub template", "spoke template", "organization reader template"
	Err  error
}

func (e *FileError) Error() string { return e.What + ": " + e.Err.Error() }

// Unwrap gives the reason.
func (e *FileError) Unwrap() error { return e.Err }

// DeploySpokes puts the spoke's roles into the accounts that the input lists, and
// into those of its units that the fleet describes.
func (s *Stage) DeploySpokes(t *cfn.Template, written runinput.Input) error {
	listed := Accounts(written)
	for _, account := range Accounts(s.Input) {
		if _, described := s.fleet.Accounts[account]; !described && !slices.Contains(listed, account) {
			continue
		}
		stack, err := t.Deploy(cfn.Deployment{
			StackName: "ec2patch-spoke", Account: account, Region: HubRegion,
			Parameters: s.spokeParameters(),
		})
		if err != nil {
			return &FileError{What: "spoke template", Err: err}
		}
		roles, err := rolesOf(stack)
		if err != nil {
			return &FileError{What: "spoke template", Err: err}
		}
		s.addRoles(roles)
	}
	return nil
}

// spokeParameters are those of the spoke's template that have no default, and what the rehearsal sets.
func (s *Stage) spokeParameters() map[string]string {
	all := map[string]string{"HubAccountId": HubAccount, "ExternalId": ExternalID}
	maps.Copy(all, s.Setup.SpokeParameters)
	return all
}

func (s *Stage) addRoles(roles []core.Role) {
	for _, r := range roles {
		s.Policies = append(s.Policies, r.Policies...)
		s.World.AddRole(r)
	}
}

// rolesOf reads the policies of a stack's roles.
func rolesOf(stack *cfn.Stack) ([]core.Role, error) {
	var roles []core.Role
	for _, r := range stack.Roles() {
		trust, err := iam.ParsePolicy(r.Name+" trust", r.Trust)
		if err != nil {
			return nil, fmt.Errorf("role %s: %w", r.Name, err)
		}
		role := core.Role{ARN: r.ARN, Trust: trust}
		for _, d := range r.Policies {
			p, err := iam.ParsePolicy(r.Name+"/"+d.Name, d.JSON)
			if err != nil {
				return nil, fmt.Errorf("role %s: %w", r.Name, err)
			}
			role.Policies = append(role.Policies, p)
		}
		roles = append(roles, role)
	}
	return roles, nil
}

// addResources declares the tables, buckets, topics and keys of the hub.
func (s *Stage) addResources(stack *cfn.Stack, on map[string]*iam.Policy) {
	for _, r := range stack.OfType("AWS::KMS::Key") {
		key := KeySpec(r, on)
		for _, alias := range stack.OfType("AWS::KMS::Alias") {
			if text(alias.Properties, "TargetKeyId") == r.PhysicalID {
				key.Aliases = append(key.Aliases, text(alias.Properties, "AliasName"))
			}
		}
		s.World.AddKey(key)
	}
	for _, r := range stack.OfType("AWS::DynamoDB::Table") {
		s.World.AddTable(backing.TableSpec{Name: r.Name, ARN: r.ARN, Account: HubAccount, Region: HubRegion, HashKey: "pk",
			RangeKey: "sk", TTLAttribute: ttl(r), KMSKeyARN: text(r.Properties, "SSESpecification", "KMSMasterKeyId"),
			ResourcePolicy: on[r.ARN]})
	}
	for _, r := range stack.OfType("AWS::S3::Bucket") {
		rules, _ := dig(r.Properties, "BucketEncryption", "ServerSideEncryptionConfiguration").([]any)
		spec := backing.BucketSpec{Name: r.Name, ARN: r.ARN, Account: HubAccount, Region: HubRegion, Versioned: true,
			Policy: on[r.ARN]}
		if len(rules) > 0 {
			if rule, ok := rules[0].(map[string]any); ok {
				spec.KMSKeyARN = text(rule, "ServerSideEncryptionByDefault", "KMSMasterKeyID")
				spec.BucketKey, _ = rule["BucketKeyEnabled"].(bool)
			}
		}
		s.World.AddBucket(spec)
	}
	for _, r := range stack.OfType("AWS::SNS::Topic") {
		s.World.AddTopic(backing.TopicSpec{Name: r.Name, ARN: r.ARN, Account: HubAccount, Region: HubRegion,
			KMSKeyARN: text(r.Properties, "KmsMasterKeyId"), Policy: on[r.ARN]})
	}
	for _, r := range stack.OfType("AWS::SNS::Subscription") {
		s.World.Subscribe(text(r.Properties, "TopicArn"), text(r.Properties, "Endpoint"), true)
	}
}

// KeySpec is a key of the template as the world wants it.
func KeySpec(r *cfn.Resource, on map[string]*iam.Policy) backing.KeySpec {
	usage, _ := r.Properties["KeyUsage"].(string)
	return backing.KeySpec{ID: r.PhysicalID, ARN: r.ARN, Account: HubAccount, Region: HubRegion,
		Usage: kmstypes.KeyUsageType(usage), Policy: on[r.ARN]}
}

func ttl(r *cfn.Resource) string {
	return text(r.Properties, "TimeToLiveSpecification", "AttributeName")
}

// dig walks into resolved properties.
func dig(v any, path ...string) any {
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func text(v any, path ...string) string {
	s, _ := dig(v, path...).(string)
	return s
}

// planFleet reads or draws the fleet, and adds the accounts of the input's
// units to the input: by the file alone, not as the plan does it.
func (s *Stage) planFleet() error {
	if len(s.Setup.Fleet) > 0 {
		var err error
		if s.fleet, err = fleetfile.Parse(s.Setup.Fleet); err != nil {
			return &FileError{What: "fleet file", Err: err}
		}
		if err := described(s.Input, s.fleet); err != nil {
			return &FileError{What: "fleet file", Err: err}
		}
		s.Input = withUnits(s.Input, s.fleet)
		return nil
	}
	tree, suspended := fleetfile.DefaultUnits(units(s.Input))
	org := fleetfile.File{Units: tree, Accounts: map[string]fleetfile.Account{}}
	for _, id := range suspended {
		org.Accounts[id] = fleetfile.Account{State: "SUSPENDED"}
	}
	s.Input = withUnits(s.Input, org)
	s.fleet = fleetfile.Default(s.Setup.Seed, wanted(s.Input), s.Setup.Instances)
	s.fleet.Units = org.Units
	maps.Copy(s.fleet.Accounts, org.Accounts)
	return nil
}

// wanted is what the input looks for in each region of each account.
func wanted(in runinput.Input) map[string]map[string][]fleetfile.Wanted {
	all := map[string]map[string][]fleetfile.Wanted{}
	for _, w := range in.Waves {
		one := fleetfile.Wanted{Tags: w.Filters.Tags}
		for _, p := range w.Filters.Platforms {
			one.Platforms = append(one.Platforms, string(p))
		}
		for _, a := range w.Accounts {
			if all[string(a)] == nil {
				all[string(a)] = map[string][]fleetfile.Wanted{}
			}
			for _, r := range w.Regions {
				there := all[string(a)][string(r)]
				if !slices.ContainsFunc(there, func(t fleetfile.Wanted) bool { return reflect.DeepEqual(t, one) }) {
					all[string(a)][string(r)] = append(there, one)
				}
			}
		}
	}
	return all
}

// described refuses a fleet that lacks an account of the input: it would pass for
// one that is reached and empty, and is mostly a number that was mistyped.
func described(in runinput.Input, f fleetfile.File) error {
	var problems []error
	for _, id := range Accounts(in) {
		if _, ok := f.Accounts[id]; !ok {
			problems = append(problems, fmt.Errorf("accounts: %s is in the input and not in the fleet; an empty account is "+
				"written %q: {\"regions\": {}}", id, id))
		}
	}
	return errors.Join(problems...)
}

// units lists the input's units, each once, in order.
func units(in runinput.Input) []string {
	var all []string
	for _, w := range in.Waves {
		for _, u := range w.OrganizationalUnits {
			if !slices.Contains(all, u) {
				all = append(all, u)
			}
		}
	}
	return all
}

// withUnits is the input with the accounts of its units written out.
func withUnits(in runinput.Input, f fleetfile.File) runinput.Input {
	in.Waves = slices.Clone(in.Waves)
	for i := range in.Waves {
		w := &in.Waves[i]
		w.Accounts = slices.Clone(w.Accounts)
		for _, u := range w.OrganizationalUnits {
			for _, a := range f.ActiveBelow(u) {
				if !slices.Contains(w.Accounts, patch.AccountID(a)) {
					w.Accounts = append(w.Accounts, patch.AccountID(a))
				}
			}
		}
	}
	return in
}

const (
	stateMachine = "AWS::StepFunctions::StateMachine"
	// orchestrator is the logical id of the machine whose executions are runs.
	orchestrator = "OrchestratorStateMachine"
)

// addMachines declares the state machines and plugs the engine in.
func (s *Stage) addMachines(loaded map[string]*asl.Machine) error {
	s.Engine = asl.NewEngine(host{s})
	s.World.PlugEngine(s.Engine)
	for _, m := range s.Hub.OfType(stateMachine) {
		in := asl.StartInput{Machine: loaded[m.LogicalID], MachineARN: m.ARN, MachineName: m.Name,
			RoleARN: text(m.Properties, "RoleArn")}
		s.machines[m.ARN] = in
		s.World.AddMachine(backing.MachineSpec{Name: m.Name, ARN: m.ARN, RoleARN: in.RoleARN, Machine: in.Machine})
		if m.LogicalID == orchestrator {
			s.Machine = in
		}
	}
	if s.Machine.Machine == nil {
		return fmt.Errorf("the template has no state machine %s", orchestrator)
	}
	return nil
}

// addLambdas wires every function of the template by its Handler.
func (s *Stage) addLambdas() error {
	var problems []error
	for _, f := range s.Hub.Functions() {
		l, err := s.NewLambda(f)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		s.Lambdas[f.Name] = l
	}
	return errors.Join(problems...)
}

// NewLambda wires one function with its role and its environment.
func (s *Stage) NewLambda(f cfn.Function) (*Lambda, error) {
	clients, err := s.clients(f.RoleARN, f.Name)
	if err != nil {
		return nil, err
	}
	handler, err := handlerNamed(f.Handler, func(name string) string { return f.Environment[name] }, clients)
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", f.Name, err)
	}
	return &Lambda{Function: f, Handle: handler, rand: s.World.Rand("lambda/" + f.Name), stage: s}, nil
}

// clients are the simulated AWS as one function's role sees it.
func (s *Stage) clients(roleARN, name string) (wire.AWS, error) {
	w := s.World
	p, err := w.Session(roleARN, name)
	if err != nil {
		return wire.AWS{}, err
	}
	p.Function = "arn:aws:lambda:" + HubRegion + ":" + HubAccount + ":function:" + name
	return wire.AWS{
		DynamoDB: w.DynamoDB(p, HubRegion), S3: w.S3(p, HubRegion), SNS: w.SNS(p, HubRegion), KMS: w.KMS(p, HubRegion),
		SFN: w.SFN(p, HubRegion), STS: w.STS(p, HubRegion),
		CloudWatch: func(region string) cloud.CloudWatch { return w.CloudWatch(p, region) },
		Units:      func(creds aws.Credentials) cloud.Organizations { return w.Organizations(s.session(creds)) },
		Connect: func(creds aws.Credentials, region string) cloud.Clients {
			session := s.session(creds)
			sending := w.SSM(session, region)
			sending.Attempts = 1
			return cloud.Clients{EC2: w.EC2(session, region), SSM: w.SSM(session, region), Sending: sending,
				CloudWatch: w.CloudWatch(session, region)}
		},
		Metrics: s.Metrics, Now: func() time.Time { return w.Now().Add(s.skew) },
	}, nil
}

// session is who the credentials belong to.
func (s *Stage) session(creds aws.Credentials) *core.Principal {
	if p, ok := s.World.ByAccessKey(creds.AccessKeyID); ok {
		return p
	}
	return &core.Principal{} // no such session: every call of it is refused
}

// metrics keeps the sum of each metric.
type metrics struct {
	Sums map[string]float64
	Seen func(name, unit string, value float64, dimensions map[string]string) // nil: nobody looks
	Kept func(name string, value float64, dimensions map[string]string)       // the checks; nil: nobody checks
}

// Count takes one number.
func (m *metrics) Count(name, unit string, value float64, dimensions map[string]string) {
	if m.Seen != nil {
		m.Seen(name, unit, value, dimensions)
	}
	if m.Kept != nil {
		m.Kept(name, value, dimensions)
	}
	if m.Sums == nil {
		m.Sums = map[string]float64{}
	}
	m.Sums[name] += value
}

// Accounts lists the input's accounts, each once, in order.
func Accounts(in runinput.Input) []string {
	var all []string
	for _, w := range in.Waves {
		for _, a := range w.Accounts {
			if !slices.Contains(all, string(a)) {
				all = append(all, string(a))
			}
		}
	}
	return all
}
