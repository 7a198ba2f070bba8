"""A normal node on the host: a board's roles, swarm and checks over files in a folder, and the whole chain.

folder   what `fwchain node FOLDER --network NETWORK` makes
nvs      what a board keeps in NVS, in a file
held     the release that it holds, where a board has the firmware that it runs
holding  taking a newer one
port     its one TCP port
node     fwnode's node, with what is different on a host
service  all of it together
"""
