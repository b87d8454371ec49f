package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tandem/internal/centre"
	"tandem/internal/cloud/names"
)

const statusMore = `It tells what the Notification Centre's pages show: of all integrations, or of CLIENT its directions, handlers, checks and
causes. Without --aws the Centre beside a running tandem run is asked, whose address and login secret are in --data.
With --aws the table of the deployed one is read, with the credentials in the environment.
It ends with 1 when an integration is down or needs attention.`

func statusCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("status", "[flags] [CLIENT]", statusMore)
	data := f.String("data", cmp.Or(e.getenv("TANDEM_DATA"), defaultData), "the `directory` of the tandem run that is asked")
	deployed := f.Bool("aws", false, "ask the deployment in AWS")
	asJSON := f.Bool("json", false, "print JSON")
	named, err := mixed(f, args)
	if err != nil {
		return err
	}
	if len(named) > 1 {
		return misused("name one client, or none for all")
	}
	client := strings.Join(named, "")
	ask := func() (*centre.Status, error) { return localStatus(ctx, *data, client) }
	if *deployed {
		ask = func() (*centre.Status, error) { return deployedStatus(ctx, e, client) }
	}
	status, err := ask()
	if errors.Is(err, centre.ErrUnknown) {
		return fmt.Errorf("no handler of %s has sent a beat to this Centre; tandem status lists those that have", client)
	}
	if err != nil {
		return err
	}
	if *asJSON {
		err = json.NewEncoder(e.out).Encode(status)
	} else {
		err = status.Print(e.out)
	}
	for _, in := range status.Integrations {
		if err == nil && in.State != "live" {
			err = errFound
		}
	}
	return err
}

// localStatus asks the Centre beside a running server. Whoever may read its files
// may log in.
func localStatus(ctx context.Context, data, client string) (*centre.Status, error) {
	var told [2]string
	for i, name := range []string{"address", "login"} {
		text, err := os.ReadFile(filepath.Join(data, "centre", name))
		if err != nil {
			return nil, misused("no Notification Centre has run with --data %s (%w); start tandem run, or name its directory", data, err)
		}
		told[i] = strings.TrimSpace(string(text))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+told[0]+"/status.json?client="+url.QueryEscape(client), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+told[1])
	asker := http.Client{Timeout: time.Minute}
	resp, err := asker.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no Notification Centre answers at %s (%w); start it with tandem run", told[0], errors.Unwrap(err))
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		status := new(centre.Status)
		return status, json.NewDecoder(resp.Body).Decode(status)
	case http.StatusNotFound:
		return nil, centre.ErrUnknown
	}
	return nil, fmt.Errorf("%s answered %s; is it the Notification Centre of --data %s?", told[0], resp.Status, data)
}

// deployedStatus reads the deployed Centre's table.
func deployedStatus(ctx context.Context, e *env, client string) (*centre.Status, error) {
	t, err := e.deployedTable(names.CentreName)
	if err != nil {
		return nil, err
	}
	c, err := centre.New(centre.Options{Table: t, Log: slog.New(slog.DiscardHandler),
		Secrets: func(context.Context, string) (string, error) { return "", errors.New("a reader needs no secret") }})
	if err != nil {
		return nil, err
	}
	return c.Status(ctx, client)
}
