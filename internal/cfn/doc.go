// Package cfn reads our CloudFormation templates and deploys them on paper: parameters are checked, intrinsic functions
// resolved, resources given the names and ARNs that AWS would give them. The simulator runs the state machine, the
// functions and the roles that it finds, so what is tested is the template that is shipped.
//
// It is stricter than CloudFormation. What it does not know is an error: sections, functions, resource types,
// attributes. So is what CloudFormation or another YAML reader takes otherwise than the author meant: duplicate keys,
// null, aliases, booleans in disguise, numbers that change. As in CloudFormation, every parameter is text wherever it
// is used.
//
// Not handled: macros and transforms, nested stacks, Fn::GetAZs, Fn::Cidr, Fn::ForEach, dynamic references
// ({{resolve:...}} stays as it is), and the schema of properties, which cfn-lint checks.
package cfn
