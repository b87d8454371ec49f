// Package dynamo is the table in Amazon DynamoDB, or in anything that speaks its
// protocol. It knows rows and conditions only; what they mean is the ledger's.
//
// A row is one item: pk and sk (S), rev (N), ttl (N, epoch seconds, the table's
// TTL attribute), wid (S) and every attribute as an S of its own name.
//
// Two rules of DynamoDB shape the code. Expired items stay readable and
// updatable for days, so every condition also asks about ttl, and a row made
// over an expired one replaces it whole. And a request whose answer was lost may
// have been carried out: each single change stores a random write id, so that a
// repetition which finds its own id knows that it has already won; transactions
// have a client token for the same.
package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"tandem/internal/table"
)

// API is the part of the SDK's client that a Table calls.
type API interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	Scan(context.Context, *dynamodb.ScanInput, ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error)
}

// Table implements table.Scanner.
type Table struct {
	api   API
	name  string
	now   func() time.Time
	count func(op string)
}

// New is the table called name. A nil now is time.Now. Each request is reported
// to count, when not nil, under its API name; the SDK's own repetitions of one
// request count once.
func New(api API, name string, now func() time.Time, count func(op string)) *Table {
	if now == nil {
		now = time.Now
	}
	if count == nil {
		count = func(string) {}
	}
	return &Table{api: api, name: name, now: now, count: count}
}

// Get implements table.Table. Several rows are each read consistently, but not
// as one snapshot.
func (t *Table) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if err := table.CheckKeys(keys...); err != nil || len(keys) == 0 {
		return nil, err
	}
	if len(keys) > 1 {
		return t.getMany(ctx, keys)
	}
	t.count("GetItem")
	out, err := t.api.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &t.name, Key: keyOf(keys[0]), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, failure("GetItem", t.name, err)
	}
	it, err := t.item(keys[0], out.Item)
	return []table.Item{it}, err
}

func (t *Table) getMany(ctx context.Context, keys []table.Key) ([]table.Item, error) {
	found := make(map[table.Key]table.Item, len(keys))
	var wanted []map[string]types.AttributeValue
	for _, k := range keys {
		if _, twice := found[k]; !twice { // the API refuses a key named twice
			found[k] = table.Item{Key: k}
			wanted = append(wanted, keyOf(k))
		}
	}
	for try := 0; len(wanted) > 0; try++ {
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
		rest, err := t.batchGet(ctx, wanted, found)
		if err != nil {
			return nil, err
		}
		if len(rest) < len(wanted) {
			try = 0
		}
		if try == maxTries {
			return nil, fmt.Errorf("dynamodb BatchGetItem: %d of %d rows were left out again and again: the table is throttled", len(rest), len(keys))
		}
		wanted = rest
	}
	items := make([]table.Item, len(keys))
	for i, k := range keys {
		items[i] = found[k]
	}
	return items, nil
}

// batchGet reads one round into found and returns the keys left unprocessed.
func (t *Table) batchGet(ctx context.Context, keys []map[string]types.AttributeValue, found map[table.Key]table.Item) ([]map[string]types.AttributeValue, error) {
	t.count("BatchGetItem")
	out, err := t.api.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		t.name: {Keys: keys, ConsistentRead: aws.Bool(true)},
	}})
	if err != nil {
		return nil, failure("BatchGetItem", t.name, err)
	}
	for _, attrs := range out.Responses[t.name] {
		k := table.Key{PK: text(attrs[pk]), SK: text(attrs[sk])}
		if found[k], err = t.item(k, attrs); err != nil {
			return nil, err
		}
	}
	return out.UnprocessedKeys[t.name].Keys, nil
}

// Query implements table.Table. Expired rows that DynamoDB has not yet removed
// cost requests but are not returned.
func (t *Table) Query(ctx context.Context, partition, after string, limit int) ([]table.Item, error) {
	if err := table.CheckQuery(partition, limit); err != nil {
		return nil, err
	}
	in := &dynamodb.QueryInput{
		TableName: &t.name, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":pk": s(partition)},
	}
	if after != "" {
		in.KeyConditionExpression = aws.String("pk = :pk AND sk > :after")
		in.ExpressionAttributeValues[":after"] = s(after)
	}
	var items []table.Item
	for {
		in.Limit = aws.Int32(int32(min(limit-len(items), 1000)))
		t.count("Query")
		out, err := t.api.Query(ctx, in)
		if err != nil {
			return nil, failure("Query", t.name, err)
		}
		for _, attrs := range out.Items {
			it, err := t.item(table.Key{PK: partition, SK: text(attrs[sk])}, attrs)
			if err != nil {
				return nil, err
			}
			if it.Rev > 0 {
				items = append(items, it)
			}
		}
		if len(items) >= limit || len(out.LastEvaluatedKey) == 0 {
			return items, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// Scan implements table.Scanner, eventually consistent: at half the price.
func (t *Table) Scan(ctx context.Context, each func(table.Item)) error {
	in := &dynamodb.ScanInput{TableName: &t.name}
	for {
		t.count("Scan")
		out, err := t.api.Scan(ctx, in)
		if err != nil {
			return failure("Scan", t.name, err)
		}
		for _, attrs := range out.Items {
			it, err := t.item(table.Key{PK: text(attrs[pk]), SK: text(attrs[sk])}, attrs)
			if err != nil {
				return err
			}
			if it.Rev > 0 {
				each(it)
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// The columns of an item that are not attributes of the row.
const (
	pk  = "pk"
	sk  = "sk"
	rev = "rev"
	ttl = "ttl"
	wid = "wid"
)

func keyOf(k table.Key) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{pk: s(k.PK), sk: s(k.SK)}
}

func s(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }

func n(v int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(v, 10)}
}

func text(v types.AttributeValue) string {
	if s, ok := v.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

// item is what DynamoDB holds under k, as a reader sees it: an item past its ttl
// is absent.
func (t *Table) item(k table.Key, attrs map[string]types.AttributeValue) (table.Item, error) {
	it := table.Item{Key: k}
	if len(attrs) == 0 {
		return it, nil
	}
	revision, err := number(attrs, rev)
	if err != nil {
		return it, err
	}
	seconds, err := number(attrs, ttl)
	if err != nil || table.Expired(seconds, t.now()) {
		return it, err
	}
	it.Rev, it.Expires = revision, table.FromSeconds(seconds)
	it.Attrs = make(map[string]string, len(attrs))
	for name, v := range attrs {
		switch name {
		case pk, sk, rev, ttl, wid:
			continue
		}
		s, ok := v.(*types.AttributeValueMemberS)
		if !ok {
			return table.Item{}, fmt.Errorf("row %s/%s: attribute %q is a %T, not text: was it edited by hand?", k.PK, k.SK, name, v)
		}
		it.Attrs[name] = s.Value
	}
	return it, nil
}

// number reads an N column, 0 when absent.
func number(attrs map[string]types.AttributeValue, name string) (int64, error) {
	v, ok := attrs[name]
	if !ok {
		return 0, nil
	}
	num, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0, fmt.Errorf("row %s/%s: column %s is not a number: was it edited by hand?", text(attrs[pk]), text(attrs[sk]), name)
	}
	i, err := strconv.ParseInt(num.Value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("row %s/%s: column %s is not a whole number: was it edited by hand?", text(attrs[pk]), text(attrs[sk]), name)
	}
	return i, nil
}

const maxTries = 6

// pause waits before the try-th repetition, 0 for the first attempt: doubling
// from 10 ms, with full jitter so that two workers in conflict part ways.
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return ctx.Err()
	}
	var b [1]byte
	rand.Read(b[:])
	wait := time.NewTimer(10 * time.Millisecond << try * time.Duration(b[0]) / 256)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
		return nil
	}
}

// Ensure makes the table when it is absent, with on-demand billing and TTL, and
// waits until it can be used. For local endpoints; a deployment owns its table.
func Ensure(ctx context.Context, c *dynamodb.Client, name string) error {
	_, err := c.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(pk), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(sk), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(pk), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(sk), KeyType: types.KeyTypeRange},
		},
	})
	if _, exists := errors.AsType[*types.ResourceInUseException](err); exists {
		return waitActive(ctx, c, name)
	}
	if err != nil {
		return failure("CreateTable", name, err)
	}
	if err := waitActive(ctx, c, name); err != nil {
		return err
	}
	_, err = c.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(ttl), Enabled: aws.Bool(true)},
	})
	if err != nil {
		return failure("UpdateTimeToLive", name, err)
	}
	return nil
}

func waitActive(ctx context.Context, c *dynamodb.Client, name string) error {
	if err := dynamodb.NewTableExistsWaiter(c).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute); err != nil {
		return failure("DescribeTable", name, err)
	}
	return nil
}
