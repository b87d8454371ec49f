package portal

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// writeBody is the body of a create or an update. Null clears as "" does.
type writeBody struct {
	Properties   map[string]*string `json:"properties"`
	Associations []struct {
		To struct {
			ID string `json:"id"`
		} `json:"to"`
		Types []struct {
			Category string `json:"associationCategory"`
			TypeID   int    `json:"associationTypeId"`
		} `json:"types"`
	} `json:"associations"`
}

func (b writeBody) values() map[string]string { return values(b.Properties) }

func values(properties map[string]*string) map[string]string {
	out := make(map[string]string, len(properties))
	for name, v := range properties {
		out[name] = ""
		if v != nil {
			out[name] = *v
		}
	}
	return out
}

// links reads the associations of a create; a type id names both ends.
func (b writeBody) links(object string) ([]NewLink, error) {
	var out []NewLink
	for _, a := range b.Associations {
		for _, t := range a.Types {
			to, primary, known := typeID(object, t.TypeID)
			if !known {
				return nil, invalid("One or more association types are invalid")
			}
			out = append(out, NewLink{Object: to, ID: a.To.ID, Primary: primary})
		}
	}
	return out, nil
}

func typeID(from string, id int) (to string, primary, known bool) {
	for pair, n := range plainTypes {
		if pair[0] == from && n == id {
			return pair[1], false, true
		}
	}
	for pair, n := range primaries {
		if pair[0] == from && n == id {
			return pair[1], true, true
		}
	}
	return "", false, false
}

func (p *Portal) listCall(r request) (int, any, error) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit")) // Anything else is the default.
	page, err := p.List(r.object, limit, q.Get("after"), q.Get("archived") == "true", r.list("properties"), r.list("associations"))
	return http.StatusOK, page, err
}

func (p *Portal) createCall(r request) (int, any, error) {
	var b writeBody
	if err := r.decode(&b); err != nil {
		return 0, nil, err
	}
	links, err := b.links(r.object)
	if err != nil {
		return 0, nil, err
	}
	rec, err := p.Create(r.by, r.object, b.values(), links...)
	return http.StatusCreated, rec, err
}

func (p *Portal) readCall(r request) (int, any, error) {
	q := r.URL.Query()
	rec, err := p.Read(r.object, r.PathValue("id"), ReadOptions{
		IDProperty: q.Get("idProperty"), Properties: r.list("properties"),
		Associations: r.list("associations"), Archived: q.Get("archived") == "true",
	})
	return http.StatusOK, rec, err
}

func (p *Portal) updateCall(r request) (int, any, error) {
	var b writeBody
	if err := r.decode(&b); err != nil {
		return 0, nil, err
	}
	rec, err := p.Update(r.by, r.object, r.PathValue("id"), r.URL.Query().Get("idProperty"), b.values())
	return http.StatusOK, rec, err
}

func (p *Portal) archiveCall(r request) (int, any, error) {
	return http.StatusNoContent, nil, p.Archive(r.by, r.object, r.PathValue("id"))
}

func (p *Portal) searchCall(r request) (int, any, error) {
	var q Query
	if err := r.decode(&q); err != nil {
		return 0, nil, err
	}
	page, err := p.Search(r.object, q)
	return http.StatusOK, page, err
}

func (p *Portal) mergeCall(r request) (int, any, error) {
	var b struct{ PrimaryObjectID, ObjectIDToMerge string }
	if err := r.decode(&b); err != nil {
		return 0, nil, err
	}
	rec, err := p.Merge(r.by, r.object, b.PrimaryObjectID, b.ObjectIDToMerge)
	return http.StatusOK, rec, err
}

func (p *Portal) purgeCall(r request) (int, any, error) {
	var b struct{ ObjectID, IDProperty string }
	if err := r.decode(&b); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, p.Purge(r.by, r.object, b.ObjectID, b.IDProperty)
}

func (p *Portal) linksCall(r request) (int, any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, e, err := p.find(r.object, r.PathValue("id"), "")
	if err != nil {
		return 0, nil, err
	}
	to := plural(r.PathValue("to"))
	results := []map[string]any{}
	for _, l := range p.live(linkKey{r.object, e.ID, to}) {
		types := []map[string]any{{"category": "HUBSPOT_DEFINED", "typeId": plainTypes[[2]string{r.object, to}], "label": nil}}
		if l.Primary {
			types = append(types, map[string]any{"category": "HUBSPOT_DEFINED", "typeId": primaries[[2]string{r.object, to}], "label": "Primary"})
		}
		results = append(results, map[string]any{"toObjectId": l.ID, "associationTypes": types})
	}
	return http.StatusOK, map[string]any{"results": results}, nil
}

func (p *Portal) associateCall(r request) (int, any, error) {
	err := p.Associate(r.by, r.object, r.PathValue("id"), plural(r.PathValue("to")), r.PathValue("toId"), false)
	return http.StatusOK, map[string]string{"status": "COMPLETE"}, err
}

func (p *Portal) labelCall(r request) (int, any, error) {
	var labels []struct{ AssociationTypeID int }
	if err := r.decode(&labels); err != nil {
		return 0, nil, err
	}
	to := plural(r.PathValue("to"))
	for _, l := range labels {
		target, primary, known := typeID(r.object, l.AssociationTypeID)
		if !known || target != to {
			return 0, nil, invalid("One or more association types are invalid")
		}
		if err := p.Associate(r.by, r.object, r.PathValue("id"), to, r.PathValue("toId"), primary); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusCreated, map[string]string{"fromObjectId": r.PathValue("id"), "toObjectId": r.PathValue("toId")}, nil
}

func (p *Portal) dissociateCall(r request) (int, any, error) {
	return http.StatusNoContent, nil, p.Dissociate(r.by, r.object, r.PathValue("id"), plural(r.PathValue("to")), r.PathValue("toId"))
}

// propertyTypes and fieldTypes name types as the properties API does.
var (
	propertyTypes = map[string]string{"enum": "enumeration", "set": "enumeration", "ref": "string"}
	fieldTypes    = map[string]string{"number": "number", "bool": "booleancheckbox", "date": "date", "datetime": "date", "enum": "select", "set": "checkbox"}
)

func (p *Portal) propertiesCall(r request) (int, any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.object(r.object)
	if err != nil {
		return 0, nil, err
	}
	results := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.defs)) {
		results = append(results, s.defs[name].describe())
	}
	return http.StatusOK, map[string]any{"results": results}, nil
}

func (d Property) describe() map[string]any {
	named := func(names map[string]string, otherwise string) string {
		if n := names[string(d.Type)]; n != "" {
			return n
		}
		return otherwise
	}
	options := []map[string]any{}
	for _, o := range d.Options {
		options = append(options, map[string]any{"label": o, "value": o})
	}
	sensitivity := "non_sensitive"
	if d.Sensitive {
		sensitivity = "sensitive"
	}
	return map[string]any{
		"name": d.Name, "label": d.Name, "type": named(propertyTypes, string(d.Type)), "fieldType": named(fieldTypes, "text"),
		"options": options, "hasUniqueValue": d.Unique, "calculated": d.ReadOnly, "dataSensitivity": sensitivity,
		"modificationMetadata": map[string]any{"readOnlyValue": d.ReadOnly},
	}
}

func (p *Portal) accountCall(request) (int, any, error) {
	return http.StatusOK, map[string]any{"portalId": p.o.PortalID, "accountType": "DEVELOPER_TEST", "timeZone": "Australia/Sydney", "uiDomain": "app.hubspot.com"}, nil
}
