package sim

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
	"ec2patch/internal/wire"
)

// The rehearsal's hub. Accounts of run inputs are spokes; the hub is none of them.
const (
	hubAccount = "999999999999"
	hubRegion  = "us-east-1"
	management = "888888888888" // the management account of the organization
	externalID = "rehearsal-external-id-0123456789abcdef"
	approver   = "approver@example.com"
)

// epoch is when every rehearsal begins: the second Tuesday of January 2026, at night.
func epoch() time.Time { return time.Date(2026, 1, 13, 2, 0, 0, 0, time.UTC) }

// stage is a world with our templates deployed into it.
type stage struct {
	options  Options
	input    runinput.Input // with the accounts of its units
	fleet    world.FleetFile
	world    *world.World
	hub      *cfn.Stack
	engine   *asl.Engine
	machine  asl.StartInput            // of runs
	machines map[string]asl.StartInput // all, by ARN
	lambdas  map[string]*lambda        // by name of the function
	start    time.Time
	metrics  *metrics
	watcher  watcher       // nil if nobody looks
	serving  string        // the run that the function which runs now was invoked for, empty if nobody can tell
	skew     time.Duration // how far the clock of the function that runs now is off

	policies []*iam.Policy // of the hub's roles and the spoke role
}

// newStage deploys the hub, and the spoke into every account of the input.
func newStage(o Options, in runinput.Input) (*stage, error) {
	s := &stage{options: o, input: in, start: epoch(), lambdas: map[string]*lambda{}, machines: map[string]asl.StartInput{}}
	s.world = world.New(o.Seed, s.start)
	s.world.Retryable = lambdamain.Retryable
	s.metrics = &metrics{}
	t := o.templates
	if t == nil {
		var err error
		if t, err = loadTemplates(o.Hub, o.Spoke, o.Reader); err != nil {
			return nil, err
		}
	}
	if err := s.planFleet(); err != nil {
		return nil, err
	}
	s.hub = t.hub
	s.addRoles(t.roles)
	s.addResources(t.hub, t.resources)
	if err := s.deploySpokes(t.spoke, in); err != nil {
		return nil, err
	}
	s.world.SetOrganization(management)
	if err := s.world.AddFleet(s.fleet); err != nil {
		return nil, err
	}
	if err := s.addMachines(t.machines); err != nil {
		return nil, &FileError{What: hubTemplate, Err: err}
	}
	return s, s.addLambdas()
}

// hubParameters are those of the hub's template that have no default, and the reader role.
func hubParameters(t *cfn.Template, reader string) map[string]string {
	all := map[string]string{
		"ArtifactBucket": "ec2patch-artifacts", "ArtifactKey": "lambda.zip", "CrossAccountExternalId": externalID,
		"NotificationEmail": approver,
	}
	if t.Takes("OrganizationReaderRoleArn") { // an earlier hub's does not
		all["OrganizationReaderRoleArn"] = reader
	}
	return all
}

// templates are our templates as read: nothing writes to them, so all rehearsals
// of the same ones share them.
type templates struct {
	hub       *cfn.Stack
	spoke     *cfn.Template
	machines  map[string]*asl.Machine // by logical id
	roles     []world.Role
	resources map[string]*iam.Policy // of keys, buckets, topics and tables, by ARN
}

// loadTemplates reads the templates, and deploys the hub's and the reader's on paper.
func loadTemplates(hub, spoke, reader []byte) (*templates, error) {
	t := &templates{resources: map[string]*iam.Policy{}}
	readerARN, readers, err := loadReader(reader)
	if err != nil {
		return nil, &FileError{What: "organization reader template", Err: err}
	}
	if err := t.loadHub(hub, readerARN); err != nil {
		return nil, &FileError{What: hubTemplate, Err: err}
	}
	t.roles = append(t.roles, readers...)
	if t.spoke, err = cfn.Load("spoke-cfn.yaml", spoke); err != nil {
		return nil, &FileError{What: "spoke template", Err: err}
	}
	return t, nil
}

// loadReader deploys the role that lists accounts into the management account.
func loadReader(data []byte) (arn string, roles []world.Role, err error) {
	template, err := cfn.Load("organization-reader-cfn.yaml", data)
	if err != nil {
		return "", nil, err
	}
	stack, err := template.Deploy(cfn.Deployment{
		StackName: "ec2patch-organization-reader", Account: management, Region: hubRegion,
		Parameters: map[string]string{"HubAccountId": hubAccount, "ExternalId": externalID},
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

func (t *templates) loadHub(data []byte, reader string) error {
	template, err := cfn.Load("hub-cfn.yaml", data)
	if err != nil {
		return err
	}
	if t.hub, err = template.Deploy(cfn.Deployment{StackName: "ec2patch-hub", Account: hubAccount, Region: hubRegion, Parameters: hubParameters(template, reader)}); err != nil {
		return err
	}
	if err := t.readPolicies(); err != nil {
		return err
	}
	t.machines = map[string]*asl.Machine{}
	for _, m := range t.hub.OfType(stateMachine) {
		node, err := t.hub.Definition(m.LogicalID)
		if err != nil {
			return err
		}
		if t.machines[m.LogicalID], err = asl.Load(node); err != nil {
			return fmt.Errorf("%s: %w", m.LogicalID, err)
		}
	}
	return nil
}

// readPolicies reads the policies of the hub's roles and resources.
func (t *templates) readPolicies() (err error) {
	if t.roles, err = rolesOf(t.hub); err != nil {
		return err
	}
	for _, p := range t.hub.ResourcePolicies() {
		parsed, err := iam.ParsePolicy(p.LogicalID, p.JSON)
		if err != nil {
			return fmt.Errorf("policy %s: %w", p.LogicalID, err)
		}
		for _, arn := range p.On {
			t.resources[arn] = parsed
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

// deploySpokes puts the spoke role into the accounts that the input lists, and
// into those of its units that the fleet describes.
func (s *stage) deploySpokes(t *cfn.Template, written runinput.Input) error {
	listed := accounts(written)
	for _, account := range accounts(s.input) {
		if _, described := s.fleet.Accounts[account]; !described && !slices.Contains(listed, account) {
			continue
		}
		stack, err := t.Deploy(cfn.Deployment{
			StackName: "ec2patch-spoke", Account: account, Region: hubRegion,
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
func (s *stage) spokeParameters() map[string]string {
	all := map[string]string{"HubAccountId": hubAccount, "ExternalId": externalID}
	maps.Copy(all, s.options.spoke)
	return all
}

func (s *stage) addRoles(roles []world.Role) {
	for _, r := range roles {
		s.policies = append(s.policies, r.Policies...)
		s.world.AddRole(r)
	}
}

// rolesOf reads the policies of a stack's roles.
func rolesOf(stack *cfn.Stack) ([]world.Role, error) {
	var roles []world.Role
	for _, r := range stack.Roles() {
		trust, err := iam.ParsePolicy(r.Name+" trust", r.Trust)
		if err != nil {
			return nil, fmt.Errorf("role %s: %w", r.Name, err)
		}
		role := world.Role{ARN: r.ARN, Trust: trust}
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
func (s *stage) addResources(stack *cfn.Stack, on map[string]*iam.Policy) {
	for _, r := range stack.OfType("AWS::KMS::Key") {
		s.world.AddKey(keySpec(r, on))
	}
	for _, r := range stack.OfType("AWS::DynamoDB::Table") {
		s.world.AddTable(world.TableSpec{Name: r.Name, ARN: r.ARN, Account: hubAccount, Region: hubRegion, HashKey: "pk", RangeKey: "sk", TTLAttribute: ttl(r), KMSKeyARN: text(r.Properties, "SSESpecification", "KMSMasterKeyId"), ResourcePolicy: on[r.ARN]})
	}
	for _, r := range stack.OfType("AWS::S3::Bucket") {
		rules, _ := dig(r.Properties, "BucketEncryption", "ServerSideEncryptionConfiguration").([]any)
		spec := world.BucketSpec{Name: r.Name, ARN: r.ARN, Account: hubAccount, Region: hubRegion, Versioned: true, Policy: on[r.ARN]}
		if len(rules) > 0 {
			if rule, ok := rules[0].(map[string]any); ok {
				spec.KMSKeyARN = text(rule, "ServerSideEncryptionByDefault", "KMSMasterKeyID")
				spec.BucketKey, _ = rule["BucketKeyEnabled"].(bool)
			}
		}
		s.world.AddBucket(spec)
	}
	for _, r := range stack.OfType("AWS::SNS::Topic") {
		s.world.AddTopic(world.TopicSpec{Name: r.Name, ARN: r.ARN, Account: hubAccount, Region: hubRegion, KMSKeyARN: text(r.Properties, "KmsMasterKeyId"), Policy: on[r.ARN]})
	}
	for _, r := range stack.OfType("AWS::SNS::Subscription") {
		s.world.Subscribe(text(r.Properties, "TopicArn"), text(r.Properties, "Endpoint"), true)
	}
}

func keySpec(r *cfn.Resource, on map[string]*iam.Policy) world.KeySpec {
	usage, _ := r.Properties["KeyUsage"].(string)
	return world.KeySpec{ID: r.PhysicalID, ARN: r.ARN, Account: hubAccount, Region: hubRegion, Usage: kmstypes.KeyUsageType(usage), Policy: on[r.ARN]}
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
func (s *stage) planFleet() error {
	if len(s.options.Fleet) > 0 {
		var err error
		if s.fleet, err = world.ParseFleet(s.options.Fleet); err != nil {
			return &FileError{What: "fleet file", Err: err}
		}
		if err := described(s.input, s.fleet); err != nil {
			return &FileError{What: "fleet file", Err: err}
		}
		s.input = withUnits(s.input, s.fleet)
		return nil
	}
	tree, suspended := world.DefaultUnits(units(s.input))
	org := world.FleetFile{Units: tree, Accounts: map[string]world.FleetAccount{}}
	for _, id := range suspended {
		org.Accounts[id] = world.FleetAccount{State: "SUSPENDED"}
	}
	s.input = withUnits(s.input, org)
	s.fleet = world.DefaultFleet(s.options.Seed, wanted(s.input), s.options.Instances)
	s.fleet.Units = org.Units
	maps.Copy(s.fleet.Accounts, org.Accounts)
	return nil
}

// wanted is what the input looks for in each region of each account.
func wanted(in runinput.Input) map[string]map[string][]world.Wanted {
	all := map[string]map[string][]world.Wanted{}
	for _, w := range in.Waves {
		one := world.Wanted{Tags: w.Filters.Tags}
		for _, p := range w.Filters.Platforms {
			one.Platforms = append(one.Platforms, string(p))
		}
		for _, a := range w.Accounts {
			if all[string(a)] == nil {
				all[string(a)] = map[string][]world.Wanted{}
			}
			for _, r := range w.Regions {
				there := all[string(a)][string(r)]
				if !slices.ContainsFunc(there, func(t world.Wanted) bool { return reflect.DeepEqual(t, one) }) {
					all[string(a)][string(r)] = append(there, one)
				}
			}
		}
	}
	return all
}

// described refuses a fleet that lacks an account of the input: it would pass for
// one that is reached and empty, and is mostly a number that was mistyped.
func described(in runinput.Input, f world.FleetFile) error {
	var problems []error
	for _, id := range accounts(in) {
		if _, ok := f.Accounts[id]; !ok {
			problems = append(problems, fmt.Errorf("accounts: %s is in the input and not in the fleet; an empty account is written %q: {\"regions\": {}}", id, id))
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
func withUnits(in runinput.Input, f world.FleetFile) runinput.Input {
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
func (s *stage) addMachines(loaded map[string]*asl.Machine) error {
	s.engine = asl.NewEngine(host{s})
	s.world.PlugEngine(s.engine)
	for _, m := range s.hub.OfType(stateMachine) {
		in := asl.StartInput{Machine: loaded[m.LogicalID], MachineARN: m.ARN, MachineName: m.Name, RoleARN: text(m.Properties, "RoleArn")}
		s.machines[m.ARN] = in
		s.world.AddMachine(world.MachineSpec{Name: m.Name, ARN: m.ARN, RoleARN: in.RoleARN, Machine: in.Machine})
		if m.LogicalID == orchestrator {
			s.machine = in
		}
	}
	if s.machine.Machine == nil {
		return fmt.Errorf("the template has no state machine %s", orchestrator)
	}
	return nil
}

// addLambdas wires every function of the template by its Handler.
func (s *stage) addLambdas() error {
	var problems []error
	for _, f := range s.hub.Functions() {
		l, err := s.newLambda(f)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		s.lambdas[f.Name] = l
	}
	return errors.Join(problems...)
}

// newLambda wires one function with its role and its environment.
func (s *stage) newLambda(f cfn.Function) (*lambda, error) {
	clients, err := s.clients(f.RoleARN, f.Name)
	if err != nil {
		return nil, err
	}
	handler, err := handlerNamed(f.Handler, func(name string) string { return f.Environment[name] }, clients)
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", f.Name, err)
	}
	return &lambda{function: f, handle: handler, rand: s.world.Rand("lambda/" + f.Name), stage: s}, nil
}

// clients are the simulated AWS as one function's role sees it.
func (s *stage) clients(roleARN, name string) (wire.AWS, error) {
	w := s.world
	p, err := w.Session(roleARN, name)
	if err != nil {
		return wire.AWS{}, err
	}
	return wire.AWS{
		DynamoDB: w.DynamoDB(p, hubRegion), S3: w.S3(p, hubRegion), SNS: w.SNS(p, hubRegion), KMS: w.KMS(p, hubRegion),
		SFN: w.SFN(p, hubRegion), STS: w.STS(p, hubRegion),
		CloudWatch: func(region string) cloud.CloudWatch { return w.CloudWatch(p, region) },
		Units:      func(creds aws.Credentials) cloud.Organizations { return w.Organizations(s.session(creds)) },
		Connect: func(creds aws.Credentials, region string) cloud.Clients {
			session := s.session(creds)
			sending := w.SSM(session, region)
			sending.Attempts = 1
			return cloud.Clients{EC2: w.EC2(session, region), SSM: w.SSM(session, region), Sending: sending, CloudWatch: w.CloudWatch(session, region)}
		},
		Metrics: s.metrics, Now: func() time.Time { return w.Now().Add(s.skew) },
	}, nil
}

// session is who the credentials belong to.
func (s *stage) session(creds aws.Credentials) *world.Principal {
	if p, ok := s.world.ByAccessKey(creds.AccessKeyID); ok {
		return p
	}
	return &world.Principal{} // no such session: every call of it is refused
}

// metrics keeps the sum of each metric.
type metrics struct {
	sums map[string]float64
	seen func(name, unit string, value float64, dimensions map[string]string) // nil: nobody looks
	kept func(name string, value float64, dimensions map[string]string)       // the checks; nil: nobody checks
}

// Count takes one number.
func (m *metrics) Count(name, unit string, value float64, dimensions map[string]string) {
	if m.seen != nil {
		m.seen(name, unit, value, dimensions)
	}
	if m.kept != nil {
		m.kept(name, value, dimensions)
	}
	if m.sums == nil {
		m.sums = map[string]float64{}
	}
	m.sums[name] += value
}

// accounts lists the input's accounts, each once, in order.
func accounts(in runinput.Input) []string {
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
