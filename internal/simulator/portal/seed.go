package portal

import "fmt"

var (
	givenNames  = []string{"Anna", "Bruno", "Chiara", "Dmitri", "Élodie", "Farid", "Grace", "Hiro", "Ines", "Jonas"}
	familyNames = []string{"Lindqvist", "O'Neill", "Nguyen", "Müller", "Okafor", "Silva", "Tanaka"}
	cities      = []string{"Sydney", "Perth", "Hobart", "Brisbane"}
)

// Seed makes n sample contacts, each third with a company and a deal, as a
// person would. Properties that the portal does not define are left out.
func (p *Portal) Seed(n int) error {
	for i := range n {
		given, family := givenNames[i%len(givenNames)], familyNames[i%len(familyNames)]
		contact, err := p.seedOne("contacts", map[string]string{
			"email": fmt.Sprintf("person%d@example.com", i+1), "firstname": given, "lastname": family,
			"phone": fmt.Sprintf("+61 2 9000 %04d", i+1), "city": cities[i%len(cities)], "lifecyclestage": "lead",
		})
		if err != nil {
			return err
		}
		if i%3 != 0 {
			continue
		}
		company, err := p.seedOne("companies", map[string]string{
			"name": family + " & Sons", "domain": fmt.Sprintf("company%d.example", i+1), "city": cities[i%len(cities)],
		})
		if err != nil {
			return err
		}
		_, err = p.seedOne("deals", map[string]string{"dealname": "Order for " + family, "amount": fmt.Sprint(100 * (i + 1))},
			NewLink{Object: "companies", ID: company.ID}, NewLink{Object: "contacts", ID: contact.ID})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Portal) seedOne(object string, values map[string]string, links ...NewLink) (Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range values {
		if _, known := p.objects[object].defs[name]; !known {
			delete(values, name)
		}
	}
	return p.create(Person, object, values, links)
}
