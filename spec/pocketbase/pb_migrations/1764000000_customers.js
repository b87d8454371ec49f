// The collection that Tandem keeps in step with HubSpot's contacts. PocketBase's
// bool and number fields cannot be blank, so newsletter, which may be unknown in
// HubSpot, is a select.
migrate((app) => {
  app.save(new Collection({
    type: "base",
    name: "customers",
    fields: [
      { name: "email", type: "email" },
      { name: "first_name", type: "text" },
      { name: "last_name", type: "text" },
      { name: "phone", type: "text" },
      { name: "status", type: "select", maxSelect: 1, values: ["prospect", "lead", "customer", "closed"] },
      { name: "newsletter", type: "select", maxSelect: 1, values: ["true", "false"] },
      { name: "hubspot_id", type: "text" },
      { name: "deleted", type: "date" },
      { name: "created", type: "autodate", onCreate: true },
      { name: "updated", type: "autodate", onCreate: true, onUpdate: true },
    ],
    indexes: [
      "CREATE UNIQUE INDEX customers_email ON customers (email COLLATE NOCASE) WHERE email != '' AND deleted = ''",
      "CREATE UNIQUE INDEX customers_hubspot_id ON customers (hubspot_id) WHERE hubspot_id != '' AND deleted = ''",
      "CREATE INDEX customers_updated ON customers (updated)",
    ],
  }))
}, (app) => app.delete(app.findCollectionByNameOrId("customers")))
