package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"tandem/internal/table"
)

// Update implements table.Table: one change is a PutItem, UpdateItem or
// DeleteItem, several are one TransactWriteItems. A second request is needed only
// after a conflict with another transaction, and where an Always meets a row
// that has expired but is still there.
func (t *Table) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	if err := table.CheckUpdates(updates...); err != nil || len(updates) == 0 {
		return nil, err
	}
	writes := make([]*write, len(updates))
	for i, u := range updates {
		writes[i] = &write{Update: u, wid: rand.Text()}
	}
	for try := range maxTries {
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
		again, err := t.send(ctx, writes)
		if err != nil {
			return nil, err
		}
		if !again {
			return revisions(updates, writes), nil
		}
	}
	return nil, errors.New("dynamodb: the rows were changed by others again and again; try later")
}

func revisions(updates []table.Update, writes []*write) []int64 {
	revs := make([]int64, len(writes))
	for i, w := range writes {
		if !w.Delete && table.TellsRev(updates, i) {
			revs[i] = w.rev
		}
	}
	return revs
}

// write is one update on its way.
type write struct {
	table.Update
	wid string
	// over says that an Always has met an expired row and must replace it whole,
	// since an UpdateItem would keep the attributes of the row that is gone.
	over bool
	// rev is the revision written; told by the answer for a single Always.
	rev int64
}

// replaces reports whether the row is written whole, by Put, and not changed.
func (w *write) replaces() bool {
	return w.over || !w.If.Unconditional() && w.If.Rev() == 0
}

// send makes one request; again asks for another, with writes adjusted.
func (t *Table) send(ctx context.Context, writes []*write) (again bool, err error) {
	if len(writes) > 1 {
		return t.sendAll(ctx, writes)
	}
	w := writes[0]
	op, err := t.sendOne(ctx, w)
	if err == nil {
		return false, nil
	}
	if f, failed := errors.AsType[*types.ConditionalCheckFailedException](err); failed {
		if w.wid == text(f.Item[wid]) {
			w.rev, err = number(f.Item, rev)
			return false, err // an earlier attempt was carried out and its answer lost
		}
		return t.refused(w, f.Item)
	}
	if _, conflict := errors.AsType[*types.TransactionConflictException](err); conflict {
		return true, nil
	}
	return false, failure(op, t.name, err)
}

// refused turns a failed condition into the caller's error, or adjusts w where
// the condition was not the caller's but its own question about ttl.
func (t *Table) refused(w *write, held map[string]types.AttributeValue) (again bool, err error) {
	if w.If.Unconditional() {
		w.over = !w.over
		return true, nil
	}
	current, err := t.item(w.Key, held)
	if err != nil {
		return false, err
	}
	return false, &table.ConditionError{Current: current}
}

func (t *Table) sendOne(ctx context.Context, w *write) (op string, err error) {
	e := t.express(w)
	const allOld = types.ReturnValuesOnConditionCheckFailureAllOld
	switch {
	case w.Delete:
		t.count("DeleteItem")
		_, err := t.api.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &t.name, Key: keyOf(w.Key), ConditionExpression: e.condition,
			ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values, ReturnValuesOnConditionCheckFailure: allOld,
		})
		return "DeleteItem", err
	case w.replaces():
		t.count("PutItem")
		_, err := t.api.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &t.name, Item: e.item, ConditionExpression: e.condition,
			ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values, ReturnValuesOnConditionCheckFailure: allOld,
		})
		return "PutItem", err
	}
	t.count("UpdateItem")
	in := &dynamodb.UpdateItemInput{
		TableName: &t.name, Key: keyOf(w.Key), UpdateExpression: e.update, ConditionExpression: e.condition,
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values, ReturnValuesOnConditionCheckFailure: allOld,
	}
	if w.If.Unconditional() {
		in.ReturnValues = types.ReturnValueUpdatedNew
	}
	out, err := t.api.UpdateItem(ctx, in)
	if err == nil && w.If.Unconditional() {
		w.rev, err = number(out.Attributes, rev)
	}
	return "UpdateItem", err
}

func (t *Table) sendAll(ctx context.Context, writes []*write) (again bool, err error) {
	items := make([]types.TransactWriteItem, len(writes))
	for i, w := range writes {
		items[i] = t.transactItem(w)
	}
	t.count("TransactWriteItems")
	_, err = t.api.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
		TransactItems: items, ClientRequestToken: aws.String(rand.Text()),
	})
	if err == nil {
		return false, nil
	}
	if c, cancelled := errors.AsType[*types.TransactionCanceledException](err); cancelled && len(c.CancellationReasons) == len(writes) {
		return t.cancelled(writes, c.CancellationReasons)
	}
	return false, failure("TransactWriteItems", t.name, err)
}

// cancelled reads why a transaction was not carried out. A caller's condition
// that failed outranks everything: the decision has to be made anew.
func (t *Table) cancelled(writes []*write, reasons []types.CancellationReason) (again bool, err error) {
	for i, r := range reasons {
		if aws.ToString(r.Code) != "ConditionalCheckFailed" {
			continue
		}
		if _, err := t.refused(writes[i], r.Item); err != nil {
			return false, err
		}
		again = true
	}
	for i, r := range reasons {
		switch code := aws.ToString(r.Code); code {
		case "", "None", "ConditionalCheckFailed":
		case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
			again = true
		case "ValidationError", "ItemCollectionSizeLimitExceeded":
			return false, fmt.Errorf("dynamodb TransactWriteItems: %w: update %d: %s", table.ErrInvalid, i, code)
		default:
			return false, fmt.Errorf("dynamodb TransactWriteItems: update %d: %s", i, code)
		}
	}
	if !again {
		return false, errors.New("dynamodb TransactWriteItems: cancelled without a reason")
	}
	return true, nil
}

func (t *Table) transactItem(w *write) types.TransactWriteItem {
	e := t.express(w)
	const allOld = types.ReturnValuesOnConditionCheckFailureAllOld
	switch {
	case w.Delete:
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: &t.name, Key: keyOf(w.Key), ConditionExpression: e.condition,
			ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values, ReturnValuesOnConditionCheckFailure: allOld,
		}}
	case w.replaces():
		return types.TransactWriteItem{Put: &types.Put{
			TableName: &t.name, Item: e.item, ConditionExpression: e.condition,
			ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values, ReturnValuesOnConditionCheckFailure: allOld,
		}}
	}
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &t.name, Key: keyOf(w.Key), UpdateExpression: e.update, ConditionExpression: e.condition,
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values, ReturnValuesOnConditionCheckFailure: allOld,
	}}
}

// expression is a write in DynamoDB's words. Attribute names always go through
// placeholders: many words are reserved, ttl among them, and names may hold dots.
type expression struct {
	condition, update *string
	item              map[string]types.AttributeValue
	names             map[string]string
	values            map[string]types.AttributeValue
}

func (t *Table) express(w *write) *expression {
	e := &expression{}
	t.addCondition(e, w)
	switch {
	case w.Delete:
	case w.replaces():
		w.rev = 1
		e.item = keyOf(w.Key)
		for name, v := range w.columns() {
			e.item[name] = v
		}
		for name, v := range w.Set {
			e.item[name] = s(v)
		}
	default:
		w.rev = w.If.Rev() + 1
		e.addUpdate(w)
	}
	return e
}

// columns are the parts of a written row that are not its attributes.
func (w *write) columns() map[string]types.AttributeValue {
	c := map[string]types.AttributeValue{rev: n(w.rev), wid: s(w.wid)}
	if seconds := table.Seconds(w.Expires); seconds != 0 {
		c[ttl] = n(seconds)
	}
	return c
}

// addCondition asks what the caller asks, of a row that has not expired.
func (t *Table) addCondition(e *expression, w *write) {
	const alive = "(attribute_not_exists(#ttl) OR #ttl > :now)"
	now := t.now().Unix()
	switch {
	case w.If.Unconditional() && w.Delete:
	case w.over:
		e.condition = aws.String("#ttl <= :now")
		e.bind("#ttl", ttl, ":now", n(now))
	case w.If.Unconditional():
		e.condition = aws.String(alive)
		e.bind("#ttl", ttl, ":now", n(now))
	case w.If.Rev() == 0:
		e.condition = aws.String("attribute_not_exists(#pk) OR #ttl <= :now")
		e.bind("#ttl", ttl, ":now", n(now))
		e.bind("#pk", pk, "", nil)
	default:
		e.condition = aws.String("#rev = :rev AND " + alive)
		e.bind("#ttl", ttl, ":now", n(now))
		e.bind("#rev", rev, ":rev", n(w.If.Rev()))
	}
}

func (e *expression) addUpdate(w *write) {
	var set []string
	columns := w.columns()
	if w.If.Unconditional() {
		set = append(set, "#rev = if_not_exists(#rev, :zero) + :one")
		e.bind("#rev", rev, ":zero", n(0))
		e.bind("#rev", rev, ":one", n(1))
		delete(columns, rev)
	}
	for name, v := range columns {
		set = append(set, "#"+name+" = :new"+name)
		e.bind("#"+name, name, ":new"+name, v)
	}
	i := 0
	for name, v := range w.Set {
		at := strconv.Itoa(i)
		set = append(set, "#a"+at+" = :a"+at)
		e.bind("#a"+at, name, ":a"+at, s(v))
		i++
	}
	var remove []string
	for i, name := range w.Remove {
		at := "#r" + strconv.Itoa(i)
		remove = append(remove, at)
		e.bind(at, name, "", nil)
	}
	update := "SET " + strings.Join(set, ", ")
	if len(remove) > 0 {
		update += " REMOVE " + strings.Join(remove, ", ")
	}
	e.update = &update
}

// bind declares a name's placeholder and, when v is not nil, a value's.
func (e *expression) bind(placeholder, name, value string, v types.AttributeValue) {
	if e.names == nil {
		e.names, e.values = map[string]string{}, map[string]types.AttributeValue{}
	}
	e.names[placeholder] = name
	if v != nil {
		e.values[value] = v
	}
}
