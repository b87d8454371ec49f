// A deletion only marks the record, so that a poll can see it.
onRecordDeleteRequest((e) => {
  e.record.set("deleted", new DateTime())
  e.app.save(e.record)
  return e.noContent(204)
}, "customers")
