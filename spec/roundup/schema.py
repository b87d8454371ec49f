# To append to the tracker's schema.py: the mark that detectors/tandem.py sets, and
# a role for Tandem's user, which can reach nothing but users.

user.properties['deleted'] = Boolean()
db.security.addRole(name='Sync', description='reads and writes users over REST')
for permission in 'Web Access', 'Rest Access':
    db.security.addPermissionToRole('Sync', permission)
for permission in 'View', 'Create', 'Edit', 'Retire':
    db.security.addPermissionToRole('Sync', permission, 'user')
