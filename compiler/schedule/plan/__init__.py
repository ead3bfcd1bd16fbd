"""Which stages run together, strip by strip, and where their values lie on chip.

``group``   consecutive stages, and the sizes of what they read and write
``columns`` how they are cut into strips of columns where rows do not fit
``rings``   where their values lie on chip
``weights`` how their weights share the weight buffer
``parts``   how the sums of a stage are in parts where weights or channels do not fit
``strips``  how a group runs strip by strip
``cost``    what that costs, about; ``parts_cost`` of sums in parts
``ways``    the best way to run a group: in how many strips of rows and columns
``search``  which stages run together, of one image or of all at once
"""
