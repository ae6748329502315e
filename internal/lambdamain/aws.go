package lambdamain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"ec2patch/internal/cloud"
	"ec2patch/internal/wire"
)

// AWS makes the real clients from the standard environment, AWS_ENDPOINT_URL
// included. Reads are tried three times, as the SDK's standard retryer does.
func AWS(ctx context.Context) (wire.AWS, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.LoggerFunc(logSDK)))
	if err != nil {
		return wire.AWS{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	return wire.AWS{
		DynamoDB:   dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.Retryer = patient() }),
		S3:         s3.NewFromConfig(cfg),
		SNS:        sns.NewFromConfig(cfg),
		KMS:        kms.NewFromConfig(cfg),
		SFN:        sfn.NewFromConfig(cfg),
		STS:        sts.NewFromConfig(cfg),
		CloudWatch: func(region string) cloud.CloudWatch { return cloudwatch.NewFromConfig(in(cfg, region)) },
		Units:      units(cfg),
		Connect:    connect(cfg),
		Metrics:    Metrics{Out: os.Stdout, Now: Wall},
		Now:        Wall,
	}, nil
}

// patient is the standard retryer, which also tries again what was only in another
// transaction's way: targets that send at the same moment all look at the rows of
// the run and the wave.
func patient() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(contended))
	})
}

// Retryable tells whether our clients try a call again after this error, those that only read and those of DynamoDB
// alike: the transactions that patient has in addition are DynamoDB's alone. A rehearsal asks here, so that there is
// no second list.
func Retryable(err error) bool { return patient().IsErrorRetryable(err) }

// contended tells a transaction that met another one from one whose condition did
// not hold: that one would never succeed. DynamoDB gives a reason for each action.
func contended(err error) aws.Ternary {
	var cancelled *ddbtypes.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return aws.UnknownTernary
	}
	met := aws.UnknownTernary
	for _, r := range cancelled.CancellationReasons {
		switch aws.ToString(r.Code) {
		case "None":
		case "TransactionConflict":
			met = aws.TrueTernary
		default:
			return aws.FalseTernary
		}
	}
	return met
}

// logSDK writes what the SDK has to say as lines of our own log.
func logSDK(level logging.Classification, format string, args ...any) {
	at := slog.LevelDebug
	if level == logging.Warn {
		at = slog.LevelWarn
	}
	slog.Log(context.Background(), at, "AWS SDK", "text", fmt.Sprintf(format, args...))
}

// connect opens clients in a spoke. The one that sends never retries: the
// standard retryer would put a second SendCommand on the wire when a connection
// drops, and that is a second command.
func connect(base aws.Config) cloud.Connect {
	sending := &pace{every: sendEvery}
	return func(creds aws.Credentials, region string) cloud.Clients {
		cfg := in(base, region)
		cfg.Credentials = wire.Static(creds)
		return cloud.Clients{
			EC2:        ec2.NewFromConfig(cfg),
			SSM:        ssm.NewFromConfig(cfg),
			Sending:    paced{ssm.NewFromConfig(cfg, func(o *ssm.Options) { o.Retryer = aws.NopRetryer{} }), sending},
			CloudWatch: cloudwatch.NewFromConfig(cfg),
		}
	}
}

// units opens a client of Organizations. The SDK finds the one endpoint of the
// partition from any of its regions.
func units(base aws.Config) func(aws.Credentials) cloud.Organizations {
	return func(creds aws.Credentials) cloud.Organizations {
		cfg := base.Copy()
		cfg.Credentials = wire.Static(creds)
		return organizations.NewFromConfig(cfg)
	}
}

func in(cfg aws.Config, region string) aws.Config {
	copied := cfg.Copy()
	copied.Region = region
	return copied
}
