package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// NewTable makes the one table: links, leases, cursors, outcomes. Losing it means
// that both systems must be matched again, so it outlives its stack, cannot be
// deleted by mistake and can be set back to any second of the last 35 days.
func NewTable(scope constructs.Construct, id, name string, s Settings) awsdynamodb.TableV2 {
	encryption := awsdynamodb.TableEncryptionV2_DynamoOwnedKey()
	if k := key(scope, id, s); k != nil {
		encryption = awsdynamodb.TableEncryptionV2_CustomerManagedKey(k, nil)
	}
	text := awsdynamodb.AttributeType_STRING
	return awsdynamodb.NewTableV2(scope, jsii.String(id), &awsdynamodb.TablePropsV2{
		TableName:           jsii.String(name),
		PartitionKey:        &awsdynamodb.Attribute{Name: jsii.String("pk"), Type: text},
		SortKey:             &awsdynamodb.Attribute{Name: jsii.String("sk"), Type: text},
		TimeToLiveAttribute: jsii.String("ttl"),
		Billing:             awsdynamodb.Billing_OnDemand(nil),
		Encryption:          encryption,
		DeletionProtection:  jsii.Bool(true),
		RemovalPolicy:       awscdk.RemovalPolicy_RETAIN,
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
		},
	})
}

// NewQueue makes a queue for what failed: encrypted, TLS only, kept for the
// longest SQS allows, 14 days, so that a long holiday loses nothing.
func NewQueue(scope constructs.Construct, id, name string, s Settings) awssqs.Queue {
	return awssqs.NewQueue(scope, jsii.String(id), queueProps(scope, id, name, s))
}

func queueProps(scope constructs.Construct, id, name string, s Settings) *awssqs.QueueProps {
	props := &awssqs.QueueProps{
		QueueName:       jsii.String(name),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)),
		EnforceSSL:      jsii.Bool(true),
		Encryption:      awssqs.QueueEncryption_SQS_MANAGED,
	}
	if k := key(scope, id, s); k != nil {
		props.Encryption, props.EncryptionMasterKey = awssqs.QueueEncryption_KMS, k
	}
	return props
}

// key is the deployment's own KMS key as construct id uses it, nil when it has none.
func key(scope constructs.Construct, id string, s Settings) awskms.IKey {
	if s.KeyARN == "" {
		return nil
	}
	return awskms.Key_FromKeyArn(scope, jsii.String(id+"Key"), jsii.String(s.KeyARN))
}
