"""A page about programs that a person reads: what they cost, where time and energy go.

``analysis``  what is shown: gaps, intensities, busy units, buffers; plain numbers
``charts``    the same as Vega-Lite, by Altair
``page``      tables and charts in one HTML file that loads nothing
``assets``    its style and its script
"""
